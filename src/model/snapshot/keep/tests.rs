use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::model::snapshot::{SnapshotName, SnapshotState, description};

fn label(text: &str) -> Rotation {
    Rotation::Label(text.parse().unwrap())
}

fn taken(name: &str, at: i64, rotation: Option<&Rotation>) -> Snapshot {
    let own = |rotation| description(Some("nightly"), &name.parse::<SnapshotName>().unwrap(), rotation);
    Snapshot {
        name: name.to_owned(),
        description: rotation.map(own).unwrap_or_default(),
        taken_at: Timestamp::from_second(1_795_964_556 + at).ok(),
        with_memory: false,
        parent: None,
        state: SnapshotState::Whole,
    }
}

fn names(list: Vec<&Snapshot>) -> Vec<&str> {
    list.into_iter().map(|snapshot| snapshot.name.as_str()).collect()
}

#[test]
fn the_oldest_of_the_series_go() {
    let (daily, weekly) = (label("daily"), label("weekly"));
    let mut list = vec![
        taken("d3", 30, Some(&daily)),
        taken("mine", 1, None),
        taken("d1", 10, Some(&daily)),
        taken("w1", 5, Some(&weekly)),
        taken("k1", 3, Some(&Rotation::Unlabelled)),
        taken("by-hand", 2, Some(&Rotation::None)),
        taken("d2", 20, Some(&daily)),
    ];
    let all = |list: &[Snapshot]| Snapshots { list: list.to_vec(), current: None };
    for (rotation, keep, want) in [
        (&daily, 3, &[][..]),
        (&daily, 2, &["d1"]),
        (&daily, 1, &["d1", "d2"]),
        // The new one is one of them: none of it is no number to keep.
        (&daily, 0, &["d1", "d2"]),
        (&weekly, 1, &[]),
        (&Rotation::Unlabelled, 1, &[]),
        (&Rotation::None, 1, &[]),
    ] {
        assert_eq!(names(surplus(&all(&list), rotation, keep)), want, "{rotation:?} {keep}");
    }
    assert_eq!(names(surplus_with_one_more(&all(&list), &daily, 3)), ["d1"]);
    assert_eq!(names(surplus_with_one_more(&all(&list), &daily, 1)), ["d1", "d2", "d3"]);
    assert_eq!(names(surplus_with_one_more(&all(&list), &weekly, 3)), [""; 0]);
    // What is not whole is kept by nobody, and keeps nothing.
    list[0].state = SnapshotState::Delete;
    assert_eq!(names(surplus(&all(&list), &daily, 2)), [""; 0]);
    assert_eq!(names(surplus(&all(&list), &daily, 1)), ["d1"]);
    // One whose age is unknown is never too old.
    list[2].taken_at = None;
    assert_eq!(names(surplus(&all(&list), &daily, 1)), [""; 0]);
}

/// A guest with its snapshots, on which two jobs work, and people.
struct World {
    now: i64,
    snapshots: Snapshots,
    /// What each job that runs has still to do: it has seen its new one, and reads the list before each deletion.
    jobs: [Option<Job>; 2],
}

#[derive(Clone)]
struct Job {
    rotation: Rotation,
    keep: usize,
    new: String,
    phase: Phase,
    tried: Vec<String>,
}

#[derive(Clone)]
enum Phase {
    /// The new one is being taken.
    Creating,
    /// It has read the list, and is about to delete this one.
    Deleting(String),
    /// It reads the list next.
    Looking,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A job goes one step on, or begins; and whether what it does fails, or is killed half-way.
    Step { job: usize, fate: Fate },
    /// Somebody takes one by hand, with a name and a description like ecobox's.
    Person { copies: bool },
    /// Somebody deletes the newest of the series.
    Removes,
    /// Somebody repairs what is broken.
    Repairs,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Good,
    Fails,
    Killed,
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![6 => Just(Fate::Good), 1 => Just(Fate::Fails), 1 => Just(Fate::Killed)];
    prop_oneof![
        8 => (0usize..2, fate).prop_map(|(job, fate)| Event::Step { job, fate }),
        1 => any::<bool>().prop_map(|copies| Event::Person { copies }),
        1 => Just(Event::Removes),
        1 => Just(Event::Repairs),
    ]
}

impl World {
    /// The newest `keep` whole ones of a series: what must not be deleted.
    fn to_keep(&self, rotation: &Rotation, keep: usize) -> Vec<String> {
        let mut whole: Vec<&Snapshot> = self
            .snapshots
            .list
            .iter()
            .filter(|snapshot| snapshot.is_whole() && of_ecobox(snapshot).as_ref() == Some(rotation))
            .collect();
        whole.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.taken_at, snapshot.name.clone())));
        whole.into_iter().take(keep).map(|snapshot| snapshot.name.clone()).collect()
    }

    fn step(&mut self, number: usize, settings: &[(Rotation, usize); 2], fate: Fate) -> Result<(), TestCaseError> {
        self.now += 1;
        let now = self.now;
        let Some(job) = &mut self.jobs[number] else {
            let (rotation, keep) = settings[number].clone();
            let new = format!("ecobox-{number}-{now}");
            let mut snapshot = taken(&new, now, Some(&rotation));
            snapshot.state = SnapshotState::Prepare;
            self.snapshots.list.push(snapshot);
            let phase = Phase::Creating;
            self.jobs[number] = Some(Job { rotation, keep, new, phase, tried: Vec::new() });
            return Ok(());
        };
        match job.phase.clone() {
            Phase::Creating => match fate {
                Fate::Good => {
                    let new = self.snapshots.list.iter_mut().find(|snapshot| snapshot.name == job.new);
                    // Somebody may have repaired it away.
                    if let Some(new) = new {
                        new.state = SnapshotState::Whole;
                        job.phase = Phase::Looking;
                    } else {
                        self.jobs[number] = None;
                    }
                }
                Fate::Fails => {
                    let name = job.new.clone();
                    self.snapshots.list.retain(|snapshot| snapshot.name != name);
                    self.jobs[number] = None;
                }
                Fate::Killed => self.jobs[number] = None,
            },
            Phase::Looking => {
                let next = if self.snapshots.has_whole(&job.new) {
                    let surplus = surplus(&self.snapshots, &job.rotation, job.keep);
                    surplus.into_iter().find(|one| !job.tried.contains(&one.name)).map(|one| one.name.clone())
                } else {
                    None
                };
                match next {
                    Some(next) => {
                        job.tried.push(next.clone());
                        job.phase = Phase::Deleting(next);
                    }
                    None => self.jobs[number] = None,
                }
            }
            Phase::Deleting(name) => {
                let job = job.clone();
                let victim = self.snapshots.get(&name).cloned();
                match fate {
                    Fate::Good => {
                        if let Some(victim) = victim {
                            prop_assert_eq!(of_ecobox(&victim), Some(job.rotation.clone()), "somebody else's {}", name);
                        }
                        self.snapshots.list.retain(|snapshot| snapshot.name != name);
                    }
                    Fate::Fails => {}
                    Fate::Killed => {
                        let of_name = self.snapshots.list.iter_mut().filter(|snapshot| snapshot.name == name);
                        of_name.for_each(|snapshot| snapshot.state = SnapshotState::Delete);
                    }
                }
                self.jobs[number] = (fate != Fate::Killed).then_some(Job { phase: Phase::Looking, ..job });
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A thousand histories of two jobs that overlap, fail and are killed, while people take, delete and repair: at each decision
    /// nothing is chosen that should have been kept, and nothing of others is ever deleted.
    #[test]
    fn two_jobs_never_delete_what_is_to_be_kept(
        events in prop::collection::vec(event(), 1..80),
        same in any::<bool>(),
        keeps in (1usize..5, 1usize..5),
    ) {
        let daily = label("daily");
        let other = if same { daily.clone() } else { label("weekly") };
        let settings = [(daily, keeps.0), (other, keeps.1)];
        let mut world = World { now: 0, snapshots: Snapshots::default(), jobs: [None, None] };
        let mut others: Vec<String> = Vec::new();
        for event in events {
            match event {
                Event::Step { job, fate } => {
                    // What must stay, by the list that the decision is made from.
                    let is_looking = matches!(world.jobs[job], Some(Job { phase: Phase::Looking, .. }));
                    let (rotation, keep) = settings[job].clone();
                    let kept = world.to_keep(&rotation, keep);
                    world.step(job, &settings, fate)?;
                    if let Some(Job { phase: Phase::Deleting(name), .. }) = &world.jobs[job] {
                        prop_assert!(!is_looking || !kept.contains(name), "{} is one of the newest {}", name, keep);
                        prop_assert!(!others.contains(name));
                    }
                }
                Event::Person { copies } => {
                    world.now += 1;
                    let name = format!("ecobox-daily-{}", world.now);
                    let mut theirs = taken(&name, world.now, None);
                    if copies && let Some(any) = world.snapshots.list.first() {
                        theirs.description.clone_from(&any.description);
                    }
                    world.snapshots.list.push(theirs);
                    others.push(name);
                }
                Event::Removes => {
                    let newest = world.to_keep(&settings[0].0, 1);
                    world.snapshots.list.retain(|snapshot| !newest.contains(&snapshot.name));
                }
                Event::Repairs => world.snapshots.list.retain(|snapshot| {
                    let works = world.jobs.iter().flatten().any(|job| job.new == snapshot.name);
                    snapshot.is_whole() || works
                }),
            }
            for name in &others {
                prop_assert!(world.snapshots.get(name).is_some(), "somebody else's {} is gone", name);
            }
        }
        // When nothing is broken, a last run leaves as many as it shall.
        world.jobs = [None, None];
        world.snapshots.list.retain(Snapshot::is_whole);
        world.step(0, &settings, Fate::Good)?;
        for _ in 0..400 {
            if world.jobs[0].is_some() {
                world.step(0, &settings, Fate::Good)?;
            }
        }
        let (rotation, keep) = &settings[0];
        let left = world.to_keep(rotation, usize::MAX).len();
        prop_assert!(world.jobs[0].is_none() && (1..=*keep).contains(&left), "{} of {} are left", left, keep);
    }
}
