//! What others have prepared on the same server.

use std::sync::Arc;

use tripod::transaction::participant::{Enlist, Participant, Report, Vote};

use super::{ABORTED, Scene, epoch, run};
use crate::server::mariadb::MariadbServer;

#[tokio::test]
async fn what_others_prepared_is_never_touched() {
    let scene = Scene::on(Arc::new(MariadbServer::start())).await;
    let ours = scene.branch(1);
    let name = super::xid(ours);
    let [global, qualifier, _] = name.split(',').collect::<Vec<_>>().try_into().unwrap();
    let short = &global[..global.len() - 3];
    let foreign = [
        // Another format, and none. The server itself does not tell formats apart.
        format!("{global},X'0007',1953655153"),
        format!("{global},X'0008'"),
        // Other lengths, of ours in all.
        format!("{short}',{qualifier},1953655152"),
        format!("{short}',X'000000',1953655152"),
        format!("{global},'',1953655152"),
        format!("X'{}',X'{}',1953655152", "ff".repeat(64), "ff".repeat(64)),
        // Epoch 0, which nobody has.
        format!("X'{}{:032x}',X'0000',1953655152", scene.coordinator, 1),
        "'text'".to_owned(),
    ];
    for name in &foreign {
        let mut raw = scene.raw().await;
        for verb in ["START", "END", "PREPARE"] {
            run(&mut raw, &format!("XA {verb} {name}")).await;
        }
        raw.disconnect().await.unwrap();
    }
    // Another coordinator's.
    let other = super::Scene::on(Arc::clone(&scene.server)).await;
    let others = other.prepared(1).await;

    scene.shop.open(scene.opening(2)).await.unwrap();
    let found = scene
        .shop
        .in_doubt(scene.coordinator, epoch(u64::MAX))
        .await;
    assert_eq!(found.unwrap(), []);
    assert_eq!(scene.shop.commit(ours).await.unwrap(), Report::Missing);
    assert_eq!(scene.shop.settle(ours).await.unwrap(), ABORTED);
    assert_eq!(scene.shop.abort(ours).await.unwrap(), ABORTED);
    let next = scene.branch_of(2, 1);
    scene.shop.work(next).await.unwrap();
    assert_eq!(scene.shop.prepare(next).await.unwrap(), Vote::Prepared);
    assert_eq!(scene.shop.abort(next).await.unwrap(), ABORTED);
    let mark = (epoch(3), 0);
    scene.shop.forget(scene.coordinator, mark).await.unwrap();
    let stand = scene.server.query("XA RECOVER FORMAT = 'SQL'");
    assert_eq!(stand.len(), foreign.len() + 1, "{stand:?}");
    assert_eq!(other.shop.settle(others).await.unwrap(), Report::Prepared);
}
