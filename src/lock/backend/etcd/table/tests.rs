#![expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]

use super::super::lease::Terms;
use super::*;

fn try_naming(table: &Table) -> Result<Naming<'_>, Trouble> {
    let name = crate::lock::name::LockName::new("a").unwrap();
    let entry = Entry::new(name, HolderId::new(1, 0));
    let request = Request::new(entry, Duration::from_secs(5)).unwrap();
    table.enter(&Prefix::new("tripod").unwrap(), &request)
}

fn naming(table: &Table) -> Naming<'_> {
    try_naming(table).unwrap()
}

fn lease() -> Arc<Lease> {
    let terms = Terms { id: 7, ttl_secs: 5 };
    Arc::new(Lease::new(terms, Instant::now()))
}

#[test]
fn a_lease_is_given_up_or_taken_into_use_and_never_both() {
    let (table, lease) = (Table::default(), lease());
    let later = || Instant::now() + KEPT_UNUSED;
    let naming = naming(&table);
    naming.put_under(&lease).unwrap();
    assert!(!table.due(&lease, Instant::now()).over);
    drop(naming);
    let naming = self::naming(&table);
    assert!(table.due(&lease, later()).over);
    let error = naming.put_under(&lease).unwrap_err();
    assert!(error.is_lease_gone());
}

#[test]
fn what_was_not_there_before_it_entered_takes_nothing_back() {
    let (table, lease) = (Table::default(), lease());
    let naming = naming(&table);
    naming.put_under(&lease).unwrap();
    let before = naming.turn();
    naming.settle(Stage::Holding).unwrap();
    naming.gone(before);
    assert!(matches!(naming.stage(), Stage::Holding));
    naming.gone(naming.turn());
    assert!(matches!(naming.stage(), Stage::Unknown));
}

/// As where the process was stopped for longer than the TTL in the midst of a call.
#[test]
fn who_outlived_its_ttl_did_nothing_that_is_refused() {
    let (table, lease) = (Table::default(), lease());
    let naming = naming(&table);
    naming.put_under(&lease).unwrap();
    naming.goes_out().unwrap();
    assert_eq!(
        table
            .due(&lease, Instant::now() + lease.ttl())
            .entries
            .len(),
        1
    );
    assert!(naming.goes_out().unwrap_err().is_outlived());
    assert!(try_naming(&table).err().unwrap().is_outlived());
}
