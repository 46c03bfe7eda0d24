//! What the playground tells the person who has just started it.

use std::fmt::Write as _;

use super::administrator;
use super::layout::Layout;
use crate::cli::Login;

/// What runs where, and what to type next. `new` is the administrator, where it starts for the
/// first time.
pub(super) fn guide(layout: &Layout, new: Option<&Login>) -> String {
    let places = layout.places();
    let dir = layout.dir().display();
    let mut text = format!("\n{} nodes are ready, in {dir}:\n", places.len());
    for place in &places {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  node-{}  API localhost:{}  peers {}  health and metrics http://{}",
            place.number,
            place.api().port(),
            place.peer(),
            place.admin()
        );
    }
    let file = administrator::file(layout.dir());
    if let Some(new) = new {
        let _ = write!(
            text,
            "\nNobody may do anything that is not granted. The administrator is 'admin', and the\n\
             password, which is not shown again: {}\n\
             It is in {}, too.\n",
            new.password(),
            file.display()
        );
    } else if layout.is_closed() {
        let _ = write!(
            text,
            "\nNobody may do anything that is not granted. The administrator is 'admin', and the\n\
             password is in {}, unless it was changed.\n",
            file.display()
        );
    }
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return text };
    let (first, last) = (first.api().port(), last.api().port());
    let scheme = layout.scheme();
    let ca = if scheme == "https" { " --ca CA.pem" } else { "" };
    text.push_str("\nIn another terminal:\n");
    if layout.is_closed() {
        let _ = write!(
            text,
            "  export ROADSTEAD_USER=admin ROADSTEAD_PASSWORD=...\n\
             \x20 docker login --username admin localhost:{first}\n\
             \x20 docker login --username admin localhost:{last}\n"
        );
    }
    let _ = write!(
        text,
        "\
         \x20 docker tag IMAGE localhost:{first}/team/app:1\n\
         \x20 docker push localhost:{first}/team/app:1\n\
         \x20 docker pull localhost:{last}/team/app:1\n\
         \x20 roadstead cluster status --server {scheme}://localhost:{first}{ca}\n\
         \x20 kill -9 $(cat {dir}/node-1/pid)\n\
         \x20 roadstead playground restart 1 --dir {dir}\n\
         \nCtrl-C stops all nodes; the same command starts them again with all they had.\n"
    );
    text
}
