//! Whether the processors of another node can go on with what a guest was started with.

use std::collections::BTreeSet;

/// The processors of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeCpu {
    /// As the kernel names it.
    pub(crate) model: String,
    /// What they can do, in the kernel's words.
    pub(crate) flags: BTreeSet<String>,
}

/// What the levels of x86-64 have more than the one before, in the words of /proc/cpuinfo (qemu-server, `CPUConfig.pm`).
const LEVELS: [(&str, &[&str]); 4] = [
    ("x86-64-v2", &["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]),
    ("x86-64-v2-AES", &["aes"]),
    ("x86-64-v3", &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]),
    ("x86-64-v4", &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

/// What stands against a guest's CPU type on another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CpuTrouble {
    /// `host`, and these are different models.
    OtherModel(String, String),
    /// `host`, and at least one of them is unknown.
    UnknownModel,
    /// The type needs what the processors do not have.
    Lacks(String, Vec<String>),
}

/// What stands against it; `None`: nothing, or nothing is known.
pub(crate) fn trouble(kind: Option<&str>, here: Option<&NodeCpu>, there: Option<&NodeCpu>) -> Option<CpuTrouble> {
    let kind = kind?;
    if kind == "host" || kind == "max" {
        return match (here, there) {
            (Some(here), Some(there)) if here.model == there.model => None,
            (Some(here), Some(there)) => Some(CpuTrouble::OtherModel(here.model.clone(), there.model.clone())),
            _ => Some(CpuTrouble::UnknownModel),
        };
    }
    let level = LEVELS.iter().position(|(name, _)| *name == kind)?;
    let there = there.filter(|there| !there.flags.is_empty())?;
    let needed = LEVELS.iter().take(level + 1).flat_map(|(_, flags)| flags.iter());
    let lacking: Vec<String> =
        needed.filter(|flag| !there.flags.contains(**flag)).map(|flag| (*flag).to_owned()).collect();
    (!lacking.is_empty()).then(|| CpuTrouble::Lacks(kind.to_owned(), lacking))
}
