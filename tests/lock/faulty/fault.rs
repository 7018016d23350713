//! What may be wrong with a store.

/// The one thing that is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It obeys the law.
    None,

    // Steps and entries.
    /// Others step in between judging and granting.
    EnqueueIsTwoSteps,
    /// A waiter is taken out of the queue, and granted in another step.
    ClaimIsTwoSteps,
    /// A waiter is answered, and not remembered.
    WaiterForgotten,
    /// A holder is answered, and not remembered.
    HolderForgotten,
    /// A waiter that enqueues again has two entries.
    RepeatEntersTwice,
    /// A waiter that enqueues again goes to the end of the queue.
    RepeatLosesItsPlace,
    /// A waiter that enqueues again is never granted by it.
    RepeatOnlyWaits,
    /// An id in another mode replaces its entry.
    OtherModeReplaces,
    /// An id in another mode is refused, and its entry ended.
    OtherModeEnds,

    // Leases.
    /// Entries are gone before their leases are over.
    ExpiryEarly,
    /// Entries live for thrice their TTL.
    ExpiryLate,
    /// Entries live until they are released.
    ExpiryNever,
    /// Entries whose leases are over are there until somebody enqueues or claims.
    ExpiryByEnqueueOnly,
    /// Waiters live for ever, and block those behind.
    ExpirySparesWaiters,
    /// A lease is said to begin when the answer came.
    LeaseProvedLate,
    /// A lease is said to be in force for twice as long as it is.
    LeaseOverstated,
    /// A repeated enqueue says that the lease began anew, and it did not.
    RepeatProlongsNothing,
    /// A claim says that the lease began anew, and it did not.
    ClaimProlongsNothing,
    /// A renewal says that the leases began anew, and of waiters they did not.
    RenewProlongsHoldersOnly,
    /// A renewal says that the leases began anew, and only the first did.
    RenewProlongsTheFirstOnly,
    /// TTLs above two seconds are cut.
    TtlCut,
    /// Listening keeps a waiter alive.
    ChangedProlongs,
    /// Inspecting keeps all entries alive.
    InspectProlongs,
    /// A renewal finds holders only.
    RenewIgnoresWaiters,
    /// A renewal creates what is gone.
    RenewCreates,
    /// The answers of a renewal are in the store's order.
    RenewAnswersOutOfOrder,
    /// All are gone if one is.
    RenewAllOrNothing,
    /// A claim creates what is gone.
    ClaimCreates,

    // Sessions.
    /// A client's entries outlive it.
    SessionImmortal,
    /// A client's entries live as long as any of them is renewed.
    SessionKeepsAll,
    /// The end of a session ends everybody's entries of its names.
    SessionEndsOthers,

    // Who may hold.
    /// A claim grants whoever waits.
    ClaimDoesNotJudge,
    /// A shared request passes those who wait.
    SharedPassesWaiters,
    /// An exclusive waiter waits for the first shared holder only.
    ExclusiveMissesLaterShared,
    /// Holders' permits are not counted.
    PermitsNotCounted,
    /// Permits are counted with 31 bits.
    PermitsOverflow,
    /// A small request for permits passes a large one.
    PermitsOvertake,
    /// All priorities are alike.
    PriorityIgnored,
    /// Priorities are ordered as text.
    PriorityAsText,
    /// Who came last is next.
    ArrivalReversed,
    /// Those who do not wait pass waiters if their priority is higher.
    NoWaitOvertakes,
    /// Those who do not wait stay in the queue.
    NoWaitWaits,
    /// Someone of higher priority takes the lock away.
    HolderDisplaced,
    /// Other families share a name.
    ForeignAdmitted,
    /// Other families share a name that only waiters use.
    ForeignPassesWaiters,
    /// Permits of another number in all are the same family.
    ForeignNumberAdmitted,
    /// Another family stays in the queue after its refusal.
    ForeignWaits,
    /// A name is for ever what it was used as first.
    FamilyStuck,
    /// Release grants the next waiter, before it claims.
    ReleaseGrants,

    // Fencing tokens and floors.
    /// Two grants in a row have one token.
    TokenRepeats,
    /// Tokens begin anew when nobody is left.
    TokenResets,
    /// Tokens begin anew when nobody has used the name for a while.
    TokenForgotten,
    /// Tokens are counted for each mode.
    TokenOfMode,
    /// Tokens are drawn on entering the queue.
    TokenOfArrival,
    /// A holder that claims has a new token.
    TokenRedrawn,
    /// The floor of shared holders is their own token.
    FloorIsOwn,
    /// The floor of the third shared holder is its own token.
    FloorOfThirdIsOwn,
    /// The floor stays at the first token, though that holder is gone.
    FloorStays,
    /// The floor of a holder rises when others end.
    FloorRises,

    // Release, leave, force_release.
    /// Release ends whoever holds.
    ReleaseIgnoresHolder,
    /// Release ends a waiter.
    ReleaseEndsWaiter,
    /// Release always says that it ended one.
    ReleaseAlwaysTrue,
    /// Release ends all shared holders.
    ReleaseEndsAll,
    /// Leave ends waiters only.
    LeaveSparesHolders,
    /// Leave ends holders only.
    LeaveSparesWaiters,
    /// An enqueue that lands after leave stays for ever.
    LeaveMissesLateEnqueue,
    /// Any token ends the holder.
    ForceIgnoresToken,
    /// An older token ends a later holder.
    ForceTakesOlderToken,
    /// A token ends the holders of all names.
    ForceIgnoresName,

    // Notification.
    /// Nobody is told of a release.
    ReleaseTellsNobody,
    /// Nobody is told of one that leaves.
    LeaveTellsNobody,
    /// Nobody is told of a forced release.
    ForceTellsNobody,
    /// Nobody is told when permits are granted to one ahead.
    GrantTellsNobody,
    /// One that leaves is not told that it is gone.
    LeaverNotTold,
    /// Only the first in the queue is told.
    OnlyHeadTold,
    /// Only one of several callers for a waiter is told.
    OneCallerTold,
    /// What happened before the call is not told.
    PastNotTold,
    /// Who is gone listens for ever.
    GoneListensForever,
    /// Who holds listens for ever.
    HolderListensForever,
    /// Listening returns without pause.
    ChangedSpins,
    /// Waiters are told to look again without pause.
    RecheckTooSoon,
    /// Waiters are told to look again tomorrow.
    RecheckTooLate,
    /// Only holders count for when to look again.
    RecheckIgnoresWaiters,

    // Inspection.
    /// Who holds is looked up after who waits.
    InspectIsTwoSteps,
    /// The queue is shown in the order of arrival only.
    InspectIgnoresPriority,
    /// Holders are shown without what they said of themselves.
    MetadataLostOnGrant,
    /// Metadata is cut to 255 bytes.
    MetadataCut,
    /// Everybody is shown as exclusive.
    InspectForgetsModes,
    /// Leases are shown with the TTL of a day.
    RemainingOverstated,
    /// Leases are shown as over.
    RemainingZero,

    // Names.
    /// A name is blocked by those below it.
    NameBlockedByPrefix,
    /// Names differ by more than case only.
    NameFoldsCase,
    /// Spaces at the end do not count.
    NameTrimmed,
    /// Names are cut to 191 bytes.
    NameCut,
    /// Names are decoded as in an address.
    NameDecoded,
    /// Double slashes count as one.
    NameIsPath,
    /// Names are composed to one form of Unicode.
    NameNormalised,
}
