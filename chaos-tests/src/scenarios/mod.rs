//! Failures that the field knows, each as a story: what lost data elsewhere must not do so here.
//!
//! To add one: a file like the others, a `mod` line here, and an entry in [`ALL`], in the order of
//! names.

mod broken_disk_during_a_snapshot;
mod commit_without_quorum;
mod concurrent_tag_pushes;
mod crash_in_joint_configuration;
mod damaged_object;
mod disjoint_quorums_after_a_snapshot;
mod expired_credentials;
mod half_open_connections;
mod head_after_delete;
mod interrupted_snapshot;
mod lost_reply;
mod node_id_reuse;
mod older_disk;
mod purge_to_the_tip;
mod removed_while_handing_over;
mod rights_through_a_node_that_is_behind;
mod slow_down;
mod stale_read_index;
mod ten_times_the_load;
mod upload_through_many;

use crate::sim::Scenario;

/// All of them, in the order of their names.
pub const ALL: &[Scenario] = &[
    broken_disk_during_a_snapshot::SCENARIO,
    commit_without_quorum::SCENARIO,
    concurrent_tag_pushes::SCENARIO,
    crash_in_joint_configuration::SCENARIO,
    damaged_object::SCENARIO,
    damaged_object::ON_S3,
    disjoint_quorums_after_a_snapshot::SCENARIO,
    expired_credentials::SCENARIO,
    half_open_connections::SCENARIO,
    head_after_delete::SCENARIO,
    interrupted_snapshot::SCENARIO,
    lost_reply::SCENARIO,
    node_id_reuse::SCENARIO,
    older_disk::SCENARIO,
    purge_to_the_tip::SCENARIO,
    removed_while_handing_over::SCENARIO,
    rights_through_a_node_that_is_behind::SCENARIO,
    slow_down::SCENARIO,
    slow_down::ON_S3,
    stale_read_index::SCENARIO,
    ten_times_the_load::SCENARIO,
    upload_through_many::SCENARIO,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_scenario_has_the_name_of_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenarios");
        let stem = |path: &Path| path.file_stem()?.to_str().map(|stem| stem.replace('_', "-"));
        let files =
            fs::read_dir(folder).unwrap().map(|entry| stem(&entry.unwrap().path()).unwrap());
        let files: BTreeSet<String> = files.filter(|name| name != "mod").collect();
        // What S3 has of its own stands in the same file.
        let scenarios = ALL.iter().map(|scenario| scenario.name.trim_end_matches("-on-s3"));
        assert_eq!(scenarios.map(ToOwned::to_owned).collect::<BTreeSet<_>>(), files);
    }

    #[test]
    fn scenarios_have_names_in_order_and_say_what_they_are_about() {
        for pair in ALL.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} and {}", pair[0].name, pair[1].name);
        }
        for scenario in ALL {
            assert!(!scenario.about.is_empty() && !scenario.about.ends_with('.'));
        }
    }
}
