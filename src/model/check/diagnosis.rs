//! What came of a check at one server, and what is made of all of them together: silenced, said once, counted.

use std::collections::HashSet;

use serde::Serialize;

use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::check::fix::Fix;
use crate::model::id::ServerId;

/// How a check ended.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// Something is wrong that does not hurt yet.
    Warning,
    /// Something does not work.
    Problem,
    /// Not looked at, because of another finding.
    Skipped,
    /// It could not be looked at. That is never a problem.
    Unknown,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
            Verdict::Skipped => "skipped",
            Verdict::Unknown => "unknown",
        }
    }

    /// Whether something is wrong.
    pub(crate) fn is_wrong(self) -> bool {
        matches!(self, Verdict::Warning | Verdict::Problem)
    }
}

/// What failed on the way to a server or in asking it, as the check that looks for it calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) id: CheckId,
    pub(crate) finding: String,
    pub(crate) fix: Option<Fix>,
    /// The other server that it was met at: a jump host on the way.
    pub(crate) at: Option<ServerId>,
}

/// One check at one server.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Diagnosis {
    pub(crate) id: CheckId,
    /// `None`: this machine.
    pub(crate) server: Option<ServerId>,
    #[serde(rename = "result")]
    pub(crate) verdict: Verdict,
    /// What was seen.
    pub(crate) finding: Option<String>,
    pub(crate) fix: Option<Fix>,
    /// Because of which finding it was skipped.
    pub(crate) because: Option<CheckId>,
    /// Why the configuration silences it; `Some` of a finding that does not count.
    pub(crate) muted: Option<String>,
    /// What several servers have in common, where that is the cause: a cluster, this machine's network.
    #[serde(skip)]
    pub(crate) shared: Option<String>,
}

impl Diagnosis {
    /// Whether it counts as something that is wrong.
    pub(crate) fn counts(&self) -> bool {
        self.verdict.is_wrong() && self.muted.is_none()
    }
}

/// The checks of one server, or of this machine, in the order in which they are looked at.
#[derive(Debug, Default)]
pub(crate) struct Chart {
    server: Option<ServerId>,
    pub(crate) list: Vec<Diagnosis>,
}

impl Chart {
    /// Nothing is looked at yet; `None` is this machine.
    pub(crate) fn of(server: Option<&ServerId>) -> Chart {
        Chart { server: server.cloned(), list: Vec::new() }
    }

    /// Whose checks they are; `None`: this machine's.
    pub(crate) fn server(&self) -> Option<&ServerId> {
        self.server.as_ref()
    }

    fn add(&mut self, id: CheckId, verdict: Verdict) -> &mut Diagnosis {
        let server = self.server.clone();
        let new = Diagnosis { id, server, verdict, finding: None, fix: None, because: None, muted: None, shared: None };
        // What is wrong is said, however often; of the rest what was said first counts.
        let known = self.list.iter().position(|known| known.id == id);
        match known {
            Some(at) if !verdict.is_wrong() => &mut self.list[at],
            Some(at) if !self.list[at].verdict.is_wrong() => {
                self.list[at] = new;
                &mut self.list[at]
            }
            _ => {
                self.list.push(new);
                let last = self.list.len() - 1;
                &mut self.list[last]
            }
        }
    }

    pub(crate) fn ok(&mut self, id: CheckId) {
        self.add(id, Verdict::Ok);
    }

    /// All is well, and this was seen.
    pub(crate) fn fine(&mut self, id: CheckId, seen: impl Into<String>) {
        let added = self.add(id, Verdict::Ok);
        added.finding.get_or_insert_with(|| seen.into());
    }

    pub(crate) fn warning(&mut self, id: CheckId, finding: impl Into<String>, fix: Option<Fix>) -> &mut Diagnosis {
        self.wrong(id, Verdict::Warning, finding.into(), fix)
    }

    pub(crate) fn problem(&mut self, id: CheckId, finding: impl Into<String>, fix: Option<Fix>) -> &mut Diagnosis {
        self.wrong(id, Verdict::Problem, finding.into(), fix)
    }

    /// A warning in the words that `power` has for it, too.
    pub(crate) fn warn_of(&mut self, fault: Fault) -> &mut Diagnosis {
        self.wrong(fault.id, Verdict::Warning, fault.finding, fault.fix)
    }

    /// Like `warn_of`, a problem.
    pub(crate) fn problem_of(&mut self, fault: Fault) -> &mut Diagnosis {
        self.wrong(fault.id, Verdict::Problem, fault.finding, fault.fix)
    }

    fn wrong(&mut self, id: CheckId, verdict: Verdict, finding: String, fix: Option<Fix>) -> &mut Diagnosis {
        let fix = fix.map(|fix| fix.at(self.server.as_ref()));
        let added = self.add(id, verdict);
        (added.finding, added.fix) = (Some(finding), fix);
        added
    }

    /// It could not be looked at, for this reason.
    pub(crate) fn unknown(&mut self, id: CheckId, why: impl Into<String>) {
        let added = self.add(id, Verdict::Unknown);
        added.finding.get_or_insert_with(|| why.into());
    }

    pub(crate) fn skip(&mut self, ids: &[CheckId], because: CheckId) {
        for id in ids.iter().filter(|id| **id != because) {
            self.add(*id, Verdict::Skipped).because.get_or_insert(because);
        }
    }

    /// Checks that are looked at one after the other: what lies before the one that failed is fine, and what lies behind
    /// it was never reached. Gives which one failed.
    pub(crate) fn steps(&mut self, ids: &[CheckId], failed: Option<&Trouble>) -> Option<CheckId> {
        let Some(trouble) = failed else {
            for id in ids {
                self.ok(*id);
            }
            return None;
        };
        let at = ids.iter().position(|id| *id == trouble.id).unwrap_or(0);
        ids[..at].iter().for_each(|id| self.ok(*id));
        self.problem(trouble.id, trouble.finding.clone(), trouble.fix.clone());
        self.skip(&ids[at..], trouble.id);
        Some(trouble.id)
    }

    /// The first thing that is wrong with a check.
    pub(crate) fn has_wrong(&self, id: CheckId) -> bool {
        self.list.iter().any(|one| one.id == id && one.verdict.is_wrong())
    }
}

/// A finding that the configuration silences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mute {
    pub(crate) id: CheckId,
    /// `None`: wherever it is found.
    pub(crate) server: Option<String>,
    pub(crate) reason: Option<String>,
}

/// Marks what the configuration silences.
pub(crate) fn mute(list: &mut [Diagnosis], mutes: &[Mute]) {
    for one in list.iter_mut().filter(|one| one.verdict.is_wrong()) {
        let is_meant = |mute: &&Mute| {
            let server = one.server.as_ref().map(ServerId::as_str);
            mute.id == one.id && mute.server.as_deref().is_none_or(|wanted| Some(wanted) == server)
        };
        if let Some(mute) = mutes.iter().find(is_meant) {
            one.muted = Some(mute.reason.clone().unwrap_or_default());
        }
    }
}

/// Says each cause once: of several servers that have it in common the first has the finding, the others are skipped.
pub(crate) fn say_once(list: &mut [Diagnosis]) {
    let mut said: HashSet<(CheckId, String)> = HashSet::new();
    for one in list.iter_mut().filter(|one| one.verdict.is_wrong()) {
        let Some(shared) = &one.shared else { continue };
        if !said.insert((one.id, shared.clone())) {
            (one.verdict, one.because, one.fix) = (Verdict::Skipped, Some(one.id), None);
        }
    }
}

/// A jump host that is one of the servers, and has a finding of its own, is said there: what lies behind it is skipped.
pub(crate) fn say_at_the_jump_host(charts: &mut [Chart], troubles: &[(usize, Trouble)]) {
    for (place, trouble) in troubles {
        let Some(at) = &trouble.at else { continue };
        let there = charts.iter().find(|chart| chart.server.as_ref() == Some(at));
        let cause = there.and_then(|chart| chart.list.iter().find(|one| one.verdict.is_wrong())).map(|one| one.id);
        let Some(cause) = cause else { continue };
        let behind = charts.get_mut(*place).into_iter().flat_map(|chart| &mut chart.list);
        for one in behind.filter(|one| one.id == trouble.id || one.because == Some(trouble.id)) {
            (one.verdict, one.finding, one.fix, one.because) = (Verdict::Skipped, None, None, Some(cause));
        }
    }
}

/// How many checks ended how.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) ok: usize,
    pub(crate) warning: usize,
    pub(crate) problem: usize,
    pub(crate) skipped: usize,
    pub(crate) unknown: usize,
    /// Findings that the configuration silences; they count nowhere else.
    pub(crate) muted: usize,
}

impl Counts {
    pub(crate) fn of(list: &[Diagnosis]) -> Counts {
        let mut counts = Counts::default();
        for one in list {
            *match one.verdict {
                _ if one.muted.is_some() => &mut counts.muted,
                Verdict::Ok => &mut counts.ok,
                Verdict::Warning => &mut counts.warning,
                Verdict::Problem => &mut counts.problem,
                Verdict::Skipped => &mut counts.skipped,
                Verdict::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ServerId {
        text.parse().unwrap()
    }

    #[test]
    fn what_lies_behind_a_failure_is_skipped() {
        let ids = [CheckId::NameUnknown, CheckId::SshPortClosed, CheckId::HostKeyUnknown, CheckId::HostKeyChanged];
        let trouble = Trouble { id: CheckId::HostKeyUnknown, finding: "not known".to_owned(), fix: None, at: None };
        let mut chart = Chart::of(Some(&id("nas")));
        assert_eq!(chart.steps(&ids, Some(&trouble)), Some(CheckId::HostKeyUnknown));
        let verdicts: Vec<_> = chart.list.iter().map(|one| (one.id, one.verdict)).collect();
        assert_eq!(
            verdicts,
            [
                (CheckId::NameUnknown, Verdict::Ok),
                (CheckId::SshPortClosed, Verdict::Ok),
                (CheckId::HostKeyUnknown, Verdict::Problem),
                (CheckId::HostKeyChanged, Verdict::Skipped),
            ]
        );
        assert_eq!(chart.list[3].because, Some(CheckId::HostKeyUnknown));
        // Whoever was skipped is not found fine later.
        chart.ok(CheckId::HostKeyChanged);
        assert_eq!(chart.list.len(), 4);
        let mut chart = Chart::of(None);
        assert_eq!(chart.steps(&ids, None), None);
        assert!(chart.list.iter().all(|one| one.verdict == Verdict::Ok));
    }

    #[test]
    fn silenced_and_shared_findings_are_counted() {
        let mut list = Vec::new();
        for server in ["pve1", "pve2"] {
            let mut chart = Chart::of(Some(&id(server)));
            chart.problem(CheckId::QuorumLost, "no quorum", None).shared = Some("cluster".to_owned());
            chart.warning(CheckId::NoRoot, "not root", None);
            chart.ok(CheckId::NameUnknown);
            list.extend(chart.list);
        }
        let mutes = [Mute { id: CheckId::NoRoot, server: Some("pve2".to_owned()), reason: None }];
        mute(&mut list, &mutes);
        say_once(&mut list);
        let counts = Counts::of(&list);
        assert_eq!(counts, Counts { ok: 2, warning: 1, problem: 1, skipped: 1, unknown: 0, muted: 1 });
        assert_eq!(list[3].because, Some(CheckId::QuorumLost));
    }
}
