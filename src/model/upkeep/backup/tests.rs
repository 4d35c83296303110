use super::*;

fn vmid(number: u32) -> VmId {
    VmId::try_from(number).unwrap()
}

#[test]
fn a_log_says_what_became_of_each_guest() {
    // As recorded, shortened.
    let log = [
        "INFO: starting new backup job: vzdump 110 202 --mode stop --remove 0 --node pve1 --storage local",
        "INFO: Starting Backup of VM 110 (qemu)",
        "ERROR: executing QMP command to start backup failed - The command backup has not been found",
        "ERROR: VM 110 qmp command 'backup-cancel' failed - The command backup-cancel has not been found",
        "ERROR: Backup of VM 110 failed - executing QMP command to start backup failed - not found",
        "INFO: Failed at 2026-11-29 15:41:06",
        "INFO: Starting Backup of VM 202 (lxc)",
        "INFO: Finished Backup of VM 202 (00:01:30)",
        "INFO: Starting Backup of VM 203 (lxc)",
        "INFO: Finished Backup of VM 203 (01:00:00)",
        "INFO: Starting Backup of VM 204 (qemu)",
        "ERROR: Backup of VM 999 failed - unable to find VM '999'",
        "INFO: Backup job finished with errors",
        "TASK ERROR: job errors",
    ];
    let found = read_log(log);
    let one = |number, kind, end| Logged { vmid: vmid(number), kind, end };
    let failed = |why: &str| LoggedEnd::Failed(why.to_owned());
    assert_eq!(
        found,
        [
            one(110, Some(GuestKind::Qemu), failed("executing QMP command to start backup failed - not found")),
            one(202, Some(GuestKind::Lxc), LoggedEnd::Good(SignedDuration::from_secs(90))),
            one(203, Some(GuestKind::Lxc), LoggedEnd::Good(SignedDuration::from_secs(3690))),
            one(204, Some(GuestKind::Qemu), LoggedEnd::Open),
            one(999, None, failed("unable to find VM '999'")),
        ]
    );
    assert_eq!(read_log(["no content"]), []);
    assert_eq!(read_log(["INFO: Starting Backup of VM x", "INFO: Finished Backup of VM 9 (1)"]), []);
}

#[test]
fn a_job_takes_the_guests_that_it_names() {
    let (node, other): (NodeName, NodeName) = ("pve1".parse().unwrap(), "pve2".parse().unwrap());
    let job = |covers| BackupJob { id: "nightly".to_owned(), enabled: true, covers, node: None, next_run: None };
    let takes = |job: &BackupJob| job.takes(vmid(101), Some(&node), Some("web/blue"));
    for (covers, want) in [
        (Coverage::AllBut(vec![]), true),
        (Coverage::AllBut(vec![vmid(101)]), false),
        (Coverage::Only(vec![vmid(101), vmid(102)]), true),
        (Coverage::Only(vec![vmid(102)]), false),
        (Coverage::Pool("web/blue".to_owned()), true),
        (Coverage::Pool("web".to_owned()), true),
        (Coverage::Pool("web/b".to_owned()), false),
        (Coverage::Untold, false),
    ] {
        let job = job(covers);
        assert_eq!(takes(&job), want, "{job:?}");
        assert!(!takes(&BackupJob { enabled: false, ..job.clone() }));
        assert!(!takes(&BackupJob { node: Some(other.clone()), ..job.clone() }));
        assert_eq!(takes(&BackupJob { node: Some(node.clone()), ..job }), want);
    }
}

#[test]
fn what_is_newer_counts() {
    let at = |seconds| Some(Timestamp::from_second(seconds).unwrap());
    let why = |text: &str| Some(text.to_owned());
    let mut last = LastBackup { good_at: at(10), ..LastBackup::none(vmid(101)) };
    last.add(&LastBackup { failed_at: at(20), why: why("full"), ..LastBackup::none(vmid(101)) });
    assert_eq!(last.failure().map(|(_, why)| why), Some("full"));
    last.add(&LastBackup { good_at: at(30), kind: Some(GuestKind::Lxc), ..LastBackup::none(vmid(101)) });
    assert_eq!((last.failure(), last.good_at, last.kind), (None, at(30), Some(GuestKind::Lxc)));
    last.add(&LastBackup { good_at: at(5), failed_at: at(6), why: why("old"), ..LastBackup::none(vmid(101)) });
    assert_eq!((last.good_at, last.why.as_deref()), (at(30), Some("full")));
}
