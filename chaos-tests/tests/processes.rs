//! Three real processes through what happens to processes, disks, networks and power: nothing
//! acknowledged is lost, and every node tells the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::print_stdout, reason = "what was measured is worth reading")]
#![allow(clippy::large_futures, reason = "a test has room on its stack")]

#[path = "../../storage/tests/support/s3_server.rs"]
mod s3_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use chaos_tests::{
    Image, Loss, Lost, Network, NetworkError, ProcessCluster, RegistryClient, SmallDisk, Traffic,
    Troubles, VolumeError, Volumes, eventually, if_answered, is_unanswered, skip, thaw_leaders,
    trouble_network, trouble_power, trouble_processes,
};
use proto::{Algorithm, Digest};
use tokio::sync::{Mutex, MutexGuard};

use s3_server::S3Server;

/// A push that is sent again until it is answered, as a CI job that retries would do it.
async fn push(client: &RegistryClient, tag: &str, image: &Image) -> Result<()> {
    let deadline = Duration::from_secs(30);
    let pushed = eventually("the push is acknowledged", deadline, async || {
        match client.push("team/app", tag, image).await {
            Err(error) if is_unanswered(&error) => Err(error),
            answer => Ok(answer),
        }
    });
    pushed.await.flatten()
}

/// Pulls each of `images` (their numbers are their tags) through each client.
async fn pull_all(clients: &[RegistryClient], images: &[u64]) -> Result<()> {
    for client in clients {
        for number in images {
            let digest = client.pull("team/app", &number.to_string()).await;
            let digest = digest.with_context(|| format!("image {number} through {client:?}"))?;
            let is_same = digest == Image::numbered(*number).digest();
            ensure!(is_same, Lost(format!("image {number} is another")));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_losing_the_leader() -> Result<()> {
    let mut cluster = ProcessCluster::of(3).start().await?;
    let clients = cluster.clients()?;
    push(&clients[0], "1", &Image::numbered(1)).await?;
    pull_all(&clients, &[1]).await?;

    let leader = cluster.leader().await?;
    cluster.nodes()[leader].kill()?;
    let killed = Instant::now();
    let mut survivors = clients.clone();
    survivors.remove(leader);
    push(&survivors[0], "2", &Image::numbered(2)).await?;
    push(&survivors[1], "3", &Image::numbered(3)).await?;
    println!("pushes through both survivors: {:?} after the kill", killed.elapsed());
    pull_all(&survivors, &[1, 2, 3]).await?;

    cluster.nodes()[leader].start()?;
    cluster.until_ready().await?;
    pull_all(&clients[leader..=leader], &[1, 2, 3]).await?;
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_push_survives_killing_all_nodes() -> Result<()> {
    let mut cluster = ProcessCluster::of(3).start().await?;
    let clients = cluster.clients()?;
    let next = Arc::new(AtomicU64::new(0));
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let pushers: Vec<_> = clients
            .iter()
            .map(|client| {
                let (client, next, stop) = (client.clone(), Arc::clone(&next), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let image = Image::numbered(number);
                        let pushed = client.push("team/app", &number.to_string(), &image).await;
                        done.extend(if_answered(pushed)?.map(|()| number));
                    }
                    anyhow::Ok(done)
                })
            })
            .collect();
        let target = next.load(Ordering::Relaxed) + 30;
        eventually("pushes are under way", Duration::from_secs(60), async || {
            ensure!(next.load(Ordering::Relaxed) >= target, "too few pushes");
            Ok(())
        })
        .await?;
        for node in cluster.nodes() {
            node.kill()?;
        }
        stop.store(true, Ordering::Relaxed);
        for pusher in pushers {
            acknowledged.extend(pusher.await??);
        }
        for node in cluster.nodes() {
            node.start()?;
        }
        cluster.until_ready().await?;
        pull_all(&clients, &acknowledged).await?;
    }
    println!("{} pushes were acknowledged", acknowledged.len());
    ensure!(acknowledged.len() >= 30, "too few pushes were acknowledged to tell");
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_moved_through_one_node_is_seen_at_once_through_the_others() -> Result<()> {
    const MOVES: usize = 2_000;
    let cluster = ProcessCluster::of(3).start().await?;
    let clients = cluster.clients()?;
    let images: Vec<Image> = (0..8).map(Image::numbered).collect();
    for (number, image) in images.iter().enumerate() {
        clients[0].push("team/app", &format!("base-{number}"), image).await?;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = clients
        .iter()
        .zip(1_000_000u64..)
        .map(|(client, number)| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut pushed = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let image = Image::numbered(number + pushed * 10);
                    client.push("load/app", &pushed.to_string(), &image).await?;
                    pushed += 1;
                }
                anyhow::Ok(pushed)
            })
        })
        .collect();

    for number in 0..MOVES {
        let image = &images[number % images.len()];
        clients[number % 3].put_manifest("team/app", "latest", image).await?;
        for reader in [(number + 1) % 3, (number + 2) % 3] {
            let seen = clients[reader].tag("team/app", "latest").await?;
            ensure!(seen == image.digest(), "move {number} is not seen on node {}", reader + 1);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut pushed = 0;
    for load in load {
        pushed += load.await??;
    }
    println!("{MOVES} moves beside {pushed} pushes");
    ensure!(pushed > 0, "the moves were to be seen under load");
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_through_another_node_when_its_node_is_killed() -> Result<()> {
    let mut cluster = ProcessCluster::of(3).start().await?;
    let clients = cluster.clients()?;
    let content: Vec<u8> = (0..3 * 1024 * 1024u32).map(|i| (i % 251) as u8).collect();
    let content = Bytes::from(content);
    let digest = Digest::of(Algorithm::Sha256, &content);
    let (first, rest) = (content.slice(..1024 * 1024), content.slice(1024 * 1024..));

    let begun = clients[0].begin_upload("team/app").await?;
    let acknowledged = clients[0].append(&begun, first.clone()).await?;
    cluster.nodes()[0].kill()?;

    // With the Location that the last acknowledged chunk was answered with, and with the one before
    // it: a client that lost that answer asks how far the upload is.
    let (extent, resumed) =
        eventually("node 2 knows the upload", Duration::from_secs(20), async || {
            clients[1].upload_status(&begun).await
        })
        .await?;
    ensure!(extent == first.len(), "{extent} bytes are acknowledged");
    let (extent, _) = clients[2].upload_status(&acknowledged).await?;
    ensure!(extent == first.len(), "{extent} bytes are acknowledged");

    let finished = clients[1].append(&resumed, rest).await?;
    clients[2].finish_upload(&finished, &digest).await?;
    ensure!(clients[1].has_blob("team/app", &digest).await?, "the blob is not on node 2");
    cluster.end()
}

/// How many troubles there are, and of which seed: `make chaos-long` asks for more.
fn troubles(usual: usize, seed: u64) -> Result<(usize, u64)> {
    let count = std::env::var("CHAOS_KILLS").map_or(Ok(usual), |text| text.parse())?;
    let seed = std::env::var("CHAOS_SEED").map_or(Ok(seed), |text| text.parse())?;
    Ok((count, seed))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_nodes_are_killed_or_stand_still() -> Result<()>
{
    let (count, seed) = troubles(20, 1)?;
    let mut cluster = ProcessCluster::of(3).start().await?;
    let troubles = trouble_processes(&mut cluster, &[], count, seed).await?;
    println!("{troubles}");
    let enough = troubles.kills >= count && troubles.pauses > 0 && troubles.acknowledged >= 100;
    ensure!(enough, "too little has happened: {troubles}");
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_s3_while_nodes_with_caches_are_killed_or_stand_still()
-> Result<()> {
    const MIB: usize = 1024 * 1024;
    // The least that a cache may have; the layers together are more.
    const CACHE_BYTES: usize = 64 * MIB;
    const LAYERS: u8 = 16;
    const LAYER_BYTES: usize = 5 * MIB;
    // With this seed nodes stand still between the first kills.
    let (count, seed) = troubles(4, 2)?;
    let server = S3Server::start("minio").await;
    let mut store = server.variables();
    store.push(("ROADSTEAD_STORAGE_CACHE_BYTES".to_owned(), CACHE_BYTES.to_string()));
    let mut cluster = ProcessCluster::of(3).over(store).start().await?;
    let mut layers = Vec::new();
    for (number, client) in (0..LAYERS).zip(cluster.clients()?.iter().cycle()) {
        let layer = Bytes::from(vec![number; LAYER_BYTES]);
        let digest = Digest::of(Algorithm::Sha256, &layer);
        client.push_blob("team/app", &digest, &layer).await?;
        layers.push(digest);
    }

    let troubles = trouble_processes(&mut cluster, &layers, count, seed).await?;
    println!("{troubles}");
    let Troubles { kills, acknowledged, pulls, .. } = troubles;
    let enough = kills >= count && acknowledged >= 30 && pulls >= 20;
    ensure!(enough, "too little has happened: {troubles}");
    for node in cluster.nodes() {
        let cache = node.cache().await?;
        println!("{cache:?}");
        ensure!(cache.hits > 0 && cache.misses > cache.kept, "a cache had too little to do");
        // The bytes broke off for a client, but the store's own were whole.
        ensure!(!node.has_said("came damaged once")?, "a cache has given other bytes");
    }
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_answers_nothing_that_is_old_when_it_goes_on() -> Result<()> {
    let mut cluster = ProcessCluster::of(3).start().await?;
    let thaws = thaw_leaders(&mut cluster, 5).await?;
    println!("{thaws}");
    ensure!(thaws.late_reads > 0, "what was asked of those that stood still was never answered");
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_in_a_network_that_is_bad_and_cut() -> Result<()> {
    let (count, seed) = troubles(20, 1)?;
    let network = match Network::lay(3, seed) {
        Ok(network) => network,
        Err(NetworkError::Denied(reason)) => return skip("network", reason),
        Err(error) => return Err(error.into()),
    };
    let mut cluster = ProcessCluster::of(3).at(network.places()).start().await?;
    let troubles = trouble_network(&mut cluster, &network, count, seed).await?;
    let traffic = network.traffic();
    println!("{troubles}\n{traffic:?}");
    let Traffic { sent: _, lost, late, doubled, damaged } = traffic;
    let is_bad = [lost, late, doubled, damaged].iter().all(|packets| *packets > 0);
    ensure!(is_bad && troubles.acknowledged >= 50, "too little has happened: {troubles}");
    cluster.end()
}

/// The fault that `make mutants` puts into the nodes.
fn mutant() -> Option<String> {
    std::env::var("CHAOS_MUTANT").ok()
}

/// A file system of a test's own, where this machine allows it. Where a fault is to be found, no
/// test is skipped.
fn allowed<T>(made: Result<T, VolumeError>) -> Result<Option<T>> {
    match made {
        Err(VolumeError::Denied(reason)) if mutant().is_none() => {
            skip("volumes", reason)?;
            Ok(None)
        }
        made => Ok(Some(made?)),
    }
}

/// File systems whose power can fail, where this machine allows them, and for one test at a time:
/// it may have few loop devices.
async fn volumes() -> Result<Option<(MutexGuard<'static, ()>, Volumes)>> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let volumes = allowed(Volumes::make(3).await)?;
    Ok(volumes.map(|volumes| (turn, volumes)))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_the_power_fails() -> Result<()> {
    let (count, seed) = troubles(6, 1)?;
    let Some((_turn, volumes)) = volumes().await? else { return Ok(()) };
    let mut cluster = ProcessCluster::of(3).on(&volumes).start().await?;
    let troubles = trouble_power(&mut cluster, &volumes, count, seed).await?;
    println!("{troubles}");
    let enough = troubles.cuts >= count && troubles.acknowledged >= 50;
    ensure!(enough, "too little has happened: {troubles}");
    cluster.end()
}

/// Has the power of all machines fail each time right after something was acknowledged: an image,
/// and every other time a chunk of an upload after it.
async fn fail_after_each(cluster: &mut ProcessCluster, volumes: &Volumes) -> Result<()> {
    let clients = cluster.clients()?;
    let chunk = Bytes::from(vec![7; 1024 * 1024]);
    let whole = Digest::of(Algorithm::Sha256, &chunk.repeat(2));
    for number in 0..4 {
        let client = &clients[usize::try_from(number)? % clients.len()];
        push(client, &number.to_string(), &Image::numbered(number)).await?;
        let repository = format!("team/upload-{number}");
        let mut upload = None;
        if number % 2 == 1 {
            let begun = client.begin_upload(&repository).await?;
            upload = Some(client.append(&begun, chunk.clone()).await?);
        }
        volumes.cut(Loss::Everything)?;
        cluster.power_returns(volumes).await?;
        let ready = cluster.until_ready().await;
        match pull_all(&clients, &(0..=number).collect::<Vec<_>>()).await {
            // Nodes that have lost something may never be ready.
            Err(lost) if lost.is::<Lost>() => return Err(lost),
            pulled => ready.and(pulled)?,
        }
        if let Some(upload) = upload {
            let (extent, upload) = clients[0].upload_status(&upload).await?;
            let is_whole = extent == chunk.len();
            ensure!(is_whole, Lost(format!("{extent} bytes of the upload are left")));
            let upload = clients[1].append(&upload, chunk.clone()).await?;
            clients[2].finish_upload(&upload, &whole).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_last_is_there_when_the_power_comes_back() -> Result<()> {
    let Some((_turn, volumes)) = volumes().await? else { return Ok(()) };
    let mut cluster = ProcessCluster::of(3).on(&volumes).start().await?;
    let outcome = fail_after_each(&mut cluster, &volumes).await;
    // With a fault something must be missing, and nothing else be wrong.
    let Some(mutant) = mutant() else { return outcome.and_then(|()| cluster.end()) };
    match outcome {
        Err(lost) if lost.is::<Lost>() => println!("{mutant} was found: {lost:#}"),
        outcome => {
            outcome.with_context(|| format!("{mutant} is not what was found"))?;
            bail!("{mutant} was not found");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_blob_store_is_said_so_and_loses_nothing() -> Result<()> {
    let Some(disk) = allowed(SmallDisk::make("24m"))? else { return Ok(()) };
    let blobs = disk.path().join("blobs");
    let cluster = ProcessCluster::of(3).blobs_in(&blobs).start().await?;
    let clients = cluster.clients()?;
    clients[0].push("team/app", "1", &Image::numbered(1)).await?;

    let large = Bytes::from(vec![7; 40 * 1024 * 1024]);
    let session = clients[1].begin_upload("team/app").await?;
    let (status, retry_after) = clients[1].try_append(&session, large.clone()).await?;
    ensure!(status.as_u16() == 503, "{status} for a full store");
    ensure!(retry_after.is_some(), "nothing says when to try again");
    pull_all(&clients, &[1]).await?;
    clients[2].push("team/app", "2", &Image::numbered(2)).await?;

    disk.grow("200m")?;
    let digest = Digest::of(Algorithm::Sha256, &large);
    let session = clients[1].append(&session, large).await?;
    clients[1].finish_upload(&session, &digest).await?;
    pull_all(&clients, &[1, 2]).await?;
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_own_disk_is_full_says_so_and_comes_back_with_all_it_had() -> Result<()> {
    let Some(disk) = allowed(SmallDisk::make("300m"))? else { return Ok(()) };
    let data = disk.path().join("data");
    let mut cluster = ProcessCluster::of(3).data_of(2, data).start().await?;
    let clients = cluster.clients()?;
    clients[0].push("team/app", "1", &Image::numbered(1)).await?;

    // Less than the store must find free; the others go on, with or without the third's word.
    let filler = disk.fill(8 * 1024 * 1024)?;
    push(&clients[0], "2", &Image::numbered(2)).await?;
    push(&clients[1], "3", &Image::numbered(3)).await?;
    let said = cluster.nodes()[2].until_ended().await?;
    ensure!(said.contains("are free in"), "it said: {said}");
    pull_all(&clients[..2], &[1, 2, 3]).await?;

    // Started again on the full disk, it says the same, and damages nothing.
    cluster.nodes()[2].start()?;
    let said = cluster.nodes()[2].until_ended().await?;
    ensure!(said.contains("free in"), "it said: {said}");

    std::fs::remove_file(filler)?;
    cluster.nodes()[2].start()?;
    cluster.until_ready().await?;
    pull_all(&clients, &[1, 2, 3]).await?;
    push(&clients[2], "4", &Image::numbered(4)).await?;
    pull_all(&clients, &[4]).await?;
    cluster.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_process_stops_with_a_sentence_and_does_not_start_again() -> Result<()> {
    let mut cluster = ProcessCluster::of(3).start().await?;
    let clients = cluster.clients()?;
    push(&clients[0], "1", &Image::numbered(1)).await?;
    let id = clients[2].node_id().await?;
    clients[1].remove_node(id).await?;
    let said = cluster.nodes()[2].until_ended().await?;
    let own = format!("node {id} has stopped, because it was removed");
    ensure!(said.starts_with(&own), "it said: {said}");
    cluster.nodes()[2].start()?;
    let said = cluster.nodes()[2].until_ended().await?;
    ensure!(said.contains("was removed") && said.contains("empty folder"), "it said: {said}");
    push(&clients[0], "2", &Image::numbered(2)).await?;
    pull_all(&clients[..2], &[1, 2]).await?;
    cluster.end()
}
