//! Which checks are looked at before which action, and which of them only say that somebody needs a host.

use super::CheckId;

impl CheckId {
    /// Those that `power` looks at before it acts, in the order of its documentation.
    pub(crate) const BEFORE_POWER: [CheckId; 29] = [
        CheckId::GuestLocked,
        CheckId::BackupRunning,
        CheckId::TasksRunning,
        CheckId::HaManaged,
        CheckId::QuorumLost,
        CheckId::RunningGuests,
        CheckId::LoggedInUsers,
        CheckId::SleepInhibited,
        CheckId::SleepMasked,
        CheckId::WolNotArmed,
        CheckId::NoWakePath,
        CheckId::NoRtc,
        CheckId::Itself,
        CheckId::IdentityChanged,
        CheckId::Template,
        CheckId::NoAgent,
        CheckId::PrivilegeMissing,
        CheckId::Held,
        CheckId::InUse,
        CheckId::TargetAway,
        CheckId::TargetFull,
        CheckId::NoTarget,
        CheckId::LocalDisks,
        CheckId::LocalResources,
        CheckId::StorageMissing,
        CheckId::RestartNeeded,
        CheckId::CpuType,
        CheckId::Replicated,
        CheckId::HaRules,
    ];

    /// Those that `migrate` looks at.
    pub(crate) const BEFORE_MIGRATION: [CheckId; 19] = [
        CheckId::TargetAway,
        CheckId::TargetFull,
        CheckId::NoTarget,
        CheckId::LocalDisks,
        CheckId::LocalResources,
        CheckId::StorageMissing,
        CheckId::RestartNeeded,
        CheckId::CpuType,
        CheckId::Replicated,
        CheckId::HaRules,
        CheckId::GuestLocked,
        CheckId::BackupRunning,
        CheckId::TasksRunning,
        CheckId::HaManaged,
        CheckId::QuorumLost,
        CheckId::Itself,
        CheckId::IdentityChanged,
        CheckId::PrivilegeMissing,
        CheckId::Held,
    ];

    /// Those that `snapshot` looks at before it sends anything, in the order of its documentation.
    pub(crate) const BEFORE_SNAPSHOT: [CheckId; 13] = [
        CheckId::GuestLocked,
        CheckId::BackupRunning,
        CheckId::TasksRunning,
        CheckId::QuorumLost,
        CheckId::Template,
        CheckId::SnapshotName,
        CheckId::SnapshotUnsupported,
        CheckId::SnapshotMemory,
        CheckId::SnapshotNewer,
        CheckId::SnapshotBroken,
        CheckId::StorageFull,
        CheckId::IdentityChanged,
        CheckId::PrivilegeMissing,
    ];

    /// Those that say that somebody needs a host, and nothing is wrong with it.
    pub(crate) const NEEDS: [CheckId; 9] = [
        CheckId::GuestLocked,
        CheckId::BackupRunning,
        CheckId::TasksRunning,
        CheckId::QuorumLost,
        CheckId::RunningGuests,
        CheckId::LoggedInUsers,
        CheckId::SleepInhibited,
        CheckId::Held,
        CheckId::InUse,
    ];
}
