use super::*;

#[test]
fn silence_is_offline_only_where_somebody_was_asked() {
    use ConnectFailure::*;
    let cases: [(&[ConnectFailure], PowerState); 8] = [
        (&[Timeout], PowerState::Offline),
        (&[Refused, Unreachable], PowerState::Offline),
        (&[Resolve], PowerState::Unknown),
        (&[Resolve, Timeout], PowerState::Offline),
        (&[NoNetwork], PowerState::Unknown),
        (&[NoNetwork, JumpHostFailed("no answer")], PowerState::Unknown),
        (&[Unreachable], PowerState::Offline),
        (&[], PowerState::Unknown),
    ];
    for (failures, want) in cases {
        assert_eq!(state_of_silence(failures.iter().copied()).0, want, "{failures:?}");
    }
}
