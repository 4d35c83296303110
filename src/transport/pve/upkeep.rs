//! What has to be looked after: storages, jobs and tasks of backups, and how long the token is accepted. Auditing is enough
//! for all of it. A list of the backups themselves is not asked for: it takes privileges to write, and is empty without.

use jiff::Timestamp;
use serde::de::MapAccess;

use crate::model::guest::TaskEnd;
use crate::model::id::{NodeName, Upid, VmId};
use crate::model::upkeep::backup::{BackupJob, Coverage};
use crate::model::upkeep::{Storage, TokenTerm};
use crate::transport::Error;

use super::client::{Answers, Client};
use super::guest::LogAnswer;
use super::lenient::{Entry, Record, Rows, Value, skip};
use super::power::escaped;

/// How much of a log is read at a time, and in all: a job for hundreds of guests writes some ten thousand lines.
const PAGE: usize = 5000;
const MOST_LINES: usize = 100_000;

/// A task that made backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupTask {
    pub(crate) upid: Upid,
    /// The guest that it was for; `None`: more than one, or one that the id does not tell.
    pub(crate) vmid: Option<VmId>,
    /// When it ended, by the node's clock; `None`: it runs.
    pub(crate) ended: Option<Timestamp>,
    pub(crate) end: Option<TaskEnd>,
}

impl Client {
    /// The storages of all nodes, as the nodes told each other last. Needs `Datastore.Audit`: those without are left out.
    pub(crate) async fn storages(&self) -> Result<Vec<Storage>, Error> {
        let Rows(rows) = self.get::<Rows<StorageRow>>("/cluster/resources?type=storage", Answers::Itself).await?;
        Ok(rows.into_iter().filter_map(StorageRow::storage).collect())
    }

    /// The storages of a node, as it finds them now: one that hangs makes it answer late. Needs `Datastore.Audit`.
    pub(crate) async fn node_storages(&self, node: &NodeName) -> Result<Vec<NodeStorage>, Error> {
        let Rows(rows) = self.get::<Rows<NodeStorage>>(&format!("/nodes/{node}/storage"), Answers::Node).await?;
        Ok(rows)
    }

    /// How long this client's own token is accepted: until it ends, or its user does. Needs `Sys.Audit` on
    /// `/access/groups`.
    pub(crate) async fn token_term(&self) -> Result<TokenTerm, Error> {
        let path = format!("/access/users/{}", escaped(&self.token.userid()));
        let Entry(answer) = self.get::<Entry<UserAnswer>>(&path, Answers::Itself).await?;
        answer.and_then(|user| user.term(&self.token.name)).ok_or_else(|| self.senseless(&path))
    }

    /// The jobs of backups. Needs `Sys.Audit` on `/`.
    pub(crate) async fn backup_jobs(&self) -> Result<Vec<BackupJob>, Error> {
        let Rows(rows) = self.get::<Rows<JobRow>>("/cluster/backup", Answers::Itself).await?;
        Ok(rows.into_iter().map(|JobRow(job, _)| job).collect())
    }

    /// The newest tasks of a node that made backups, at most so many, that began at `since` or later. Needs `Sys.Audit` on
    /// the node: without, only the token's own are told.
    pub(crate) async fn backup_tasks(
        &self,
        node: &NodeName,
        since: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<BackupTask>, Error> {
        let since = since.map_or_else(String::new, |since| format!("&since={}", since.as_second()));
        let path = format!("/nodes/{node}/tasks?typefilter=vzdump&source=all&limit={most}{since}");
        let Rows(rows) = self.get::<Rows<BackupRow>>(&path, Answers::Node).await?;
        Ok(rows.into_iter().filter_map(BackupRow::task).collect())
    }

    /// When the oldest task began that a node remembers; `None`: it remembers none.
    pub(crate) async fn oldest_task(&self, node: &NodeName) -> Result<Option<Timestamp>, Error> {
        let base = format!("/nodes/{node}/tasks?limit=1");
        let newest = self.body(&base, Answers::Node).await?;
        let total = LogAnswer::parse(&newest).map_err(|error| self.unreadable(&base, &error))?.total;
        let path = format!("{base}&start={}", total.unwrap_or(1).saturating_sub(1));
        let Rows(rows) = self.get::<Rows<BackupRow>>(&path, Answers::Node).await?;
        Ok(rows.into_iter().filter_map(|row| row.upid).map(|upid| upid.started()).min())
    }

    /// The whole log of a task, up to a length that none has. Empty where it is gone.
    pub(crate) async fn whole_log(&self, upid: &Upid) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        loop {
            let page = self.log_lines(upid, lines.len(), PAGE).await?;
            let (count, total) = (page.lines.len(), page.total);
            lines.extend(page.lines);
            if count == 0 || lines.len() >= total.unwrap_or(0).min(MOST_LINES) {
                return Ok(lines);
            }
        }
    }
}

/// A row of `/cluster/resources?type=storage`.
#[derive(Default)]
pub(super) struct StorageRow {
    is_storage: bool,
    name: Option<String>,
    node: Option<NodeName>,
    plugin: Option<String>,
    shared: bool,
    available: bool,
    used: Option<u64>,
    size: Option<u64>,
}

impl<'de> Record<'de> for StorageRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.is_storage = map.next_value::<Value<'_>>()?.text().as_deref() == Some("storage"),
            "storage" => self.name = map.next_value::<Value<'_>>()?.name_string(),
            "node" => self.node = map.next_value::<Value<'_>>()?.text().and_then(|name| name.parse().ok()),
            "plugintype" => self.plugin = map.next_value::<Value<'_>>()?.name_string(),
            "shared" => self.shared = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "status" => self.available = map.next_value::<Value<'_>>()?.text().as_deref() == Some("available"),
            "disk" => self.used = map.next_value::<Value<'_>>()?.bytes(),
            "maxdisk" => self.size = map.next_value::<Value<'_>>()?.bytes().filter(|size| *size > 0),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl StorageRow {
    pub(super) fn storage(self) -> Option<Storage> {
        let StorageRow { is_storage, name, node, plugin, shared, available, used, size } = self;
        let (name, node) = (name.filter(|_| is_storage)?, node?);
        Some(Storage { name, node, shared, plugin, available, used_bytes: used, size_bytes: size })
    }
}

/// A storage as its node finds it.
#[derive(Debug, Default)]
pub(crate) struct NodeStorage {
    pub(crate) name: String,
    pub(crate) enabled: bool,
    /// Whether it can be used.
    pub(crate) active: bool,
    /// Its type.
    pub(crate) plugin: String,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
}

impl<'de> Record<'de> for NodeStorage {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "storage" => self.name = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "enabled" => self.enabled = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "active" => self.active = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "type" => self.plugin = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "total" => self.size_bytes = map.next_value::<Value<'_>>()?.bytes().filter(|size| *size > 0),
            "used" => self.used_bytes = map.next_value::<Value<'_>>()?.bytes(),
            "avail" => self.free_bytes = map.next_value::<Value<'_>>()?.bytes(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `/access/users/{userid}`
#[derive(Default)]
pub(super) struct UserAnswer {
    ends: Option<Timestamp>,
    tokens: Tokens,
}

/// The tokens of a user by name, each with its end.
#[derive(Default)]
struct Tokens(Vec<(String, Option<Timestamp>)>);

#[derive(Default)]
struct TokenEntry(Option<Timestamp>);

/// Seconds since 1970, 0: never.
fn end(value: &Value<'_>) -> Option<Timestamp> {
    let seconds = value.seconds().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

impl<'de> Record<'de> for UserAnswer {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "expire" => self.ends = end(&map.next_value()?),
            "tokens" => self.tokens = map.next_value::<Entry<Tokens>>()?.0.unwrap_or_default(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for Tokens {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if let Entry(Some(TokenEntry(ends))) = map.next_value()? {
            self.0.push((key.to_owned(), ends));
        }
        Ok(())
    }
}

impl<'de> Record<'de> for TokenEntry {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "expire" {
            self.0 = end(&map.next_value()?);
            return Ok(());
        }
        skip(map)
    }
}

impl UserAnswer {
    /// `None`: the answer does not know the token.
    pub(super) fn term(self, name: &str) -> Option<TokenTerm> {
        let (_, token) = self.tokens.0.into_iter().find(|(token, _)| token == name)?;
        Some(TokenTerm { ends: [token, self.ends].into_iter().flatten().min() })
    }
}

/// A row of `/cluster/backup`.
pub(super) struct JobRow(BackupJob, Vec<VmId>);

impl Default for JobRow {
    fn default() -> JobRow {
        JobRow(BackupJob { enabled: true, ..BackupJob::default() }, Vec::new())
    }
}

impl<'de> Record<'de> for JobRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let JobRow(job, excluded) = self;
        match key {
            "id" => job.id = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default(),
            "enabled" => job.enabled = map.next_value::<Value<'_>>()?.flag() != Some(false),
            "node" => job.node = map.next_value::<Value<'_>>()?.text().and_then(|name| name.parse().ok()),
            "next-run" => {
                let seconds = map.next_value::<Value<'_>>()?.seconds().and_then(|seconds| i64::try_from(seconds).ok());
                job.next_run = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            }
            "all" => {
                if map.next_value::<Value<'_>>()?.flag() == Some(true) {
                    job.covers = Coverage::AllBut(std::mem::take(excluded));
                }
            }
            "exclude" => {
                let others = vmids(map.next_value()?);
                match &mut job.covers {
                    Coverage::AllBut(known) => *known = others,
                    _ => *excluded = others,
                }
            }
            "vmid" => job.covers = Coverage::Only(vmids(map.next_value()?)),
            "pool" => {
                if let Some(pool) = map.next_value::<Value<'_>>()?.name_string() {
                    job.covers = Coverage::Pool(pool);
                }
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `100,101 102;103`, as pve-common splits lists. However long: a job may name each guest of a large cluster.
fn vmids(value: Value<'_>) -> Vec<VmId> {
    let text = value.text_up_to(usize::MAX).unwrap_or_default();
    let words = text.split(|c: char| matches!(c, ',' | ';') || c.is_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// A row of a list of tasks that made backups.
#[derive(Default)]
pub(super) struct BackupRow {
    upid: Option<Upid>,
    ended: Option<Timestamp>,
    status: Option<String>,
}

impl<'de> Record<'de> for BackupRow {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "upid" => self.upid = map.next_value::<Value<'_>>()?.text().and_then(|text| text.parse().ok()),
            "endtime" => self.ended = end(&map.next_value()?),
            "status" => self.status = map.next_value::<Value<'_>>()?.line(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl BackupRow {
    pub(super) fn task(self) -> Option<BackupTask> {
        let upid = self.upid.filter(|upid| upid.kind() == "vzdump")?;
        let running = self.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("running"));
        let end = self.status.filter(|_| !running || self.ended.is_some());
        let end = end.map(|status| TaskEnd::of_exit_status(&status));
        let vmid = upid.id().parse().ok();
        Some(BackupTask { vmid, ended: self.ended, end, upid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::pve::lenient::Entries;
    use crate::transport::pve::repair_json::parse;

    fn vmid(number: u32) -> VmId {
        VmId::try_from(number).unwrap()
    }

    #[test]
    fn answers_are_read_as_proxmox_ve_gives_them() {
        // As recorded of 9.2.11, with a second entry each.
        let body = br#"{"data":[{"storage":"local","maxdisk":270553174016,"content":"images,backup","type":"storage",
            "id":"storage/pve1/local","status":"available","node":"pve1","disk":20606328832,"shared":0,"plugintype":"dir"},
            {"type":"storage","storage":"nfs","node":"pve1","status":"unknown","shared":1},{"type":"node","node":"x"}]}"#;
        let storages = parse::<Entries<StorageRow>>(body).unwrap().list;
        let storages: Vec<_> = storages.into_iter().filter_map(StorageRow::storage).collect();
        assert_eq!(storages.len(), 2);
        assert_eq!((storages[0].called().as_str(), storages[0].used_percent()), ("pve1/local", Some(7.62)));
        assert_eq!((storages[1].called().as_str(), storages[1].used_percent()), ("nfs", None));

        let at = |seconds| Some(Timestamp::from_second(seconds).unwrap());
        for (body, want) in [
            (
                r#"{"data":{"expire":0,"groups":[],"tokens":{"t1":{"privsep":1,"expire":1830000000}},"enable":1}}"#,
                at(1_830_000_000),
            ),
            (r#"{"data":{"expire":"1820000000","tokens":{"t1":{"expire":1830000000}}}}"#, at(1_820_000_000)),
            (r#"{"data":{"tokens":{"t1":{"privsep":1,"expire":0}}}}"#, None),
        ] {
            let user = parse::<Entry<UserAnswer>>(body.as_bytes()).unwrap().0.unwrap();
            assert_eq!(user.term("t1"), Some(TokenTerm { ends: want }), "{body}");
        }
        let other = parse::<Entry<UserAnswer>>(br#"{"data":{"tokens":{"t2":{}}}}"#).unwrap().0.unwrap();
        assert_eq!(other.term("t1"), None);
    }

    #[test]
    fn jobs_say_whom_they_take() {
        let body = br#"{"data":[{"storage":"local","id":"nightly","schedule":"02:30","enabled":1,"all":1,
            "next-run":1796005800,"mode":"snapshot","type":"vzdump"},
            {"id":"some","vmid":"101,102 103","node":"pve1"},{"id":"rest","exclude":"101","all":"1"},
            {"id":"rest2","all":1,"exclude":"102;103"},{"id":"pool","pool":"web","enabled":"0"},{"id":"odd","all":0}]}"#;
        let jobs: Vec<_> = parse::<Entries<JobRow>>(body).unwrap().list.into_iter().map(|JobRow(job, _)| job).collect();
        let next: Vec<_> = jobs.iter().filter_map(|job| job.next_run).map(Timestamp::as_second).collect();
        assert_eq!(next, [1_796_005_800]);
        let told: Vec<_> = jobs.into_iter().map(|job| (job.id, job.enabled, job.covers, job.node.is_some())).collect();
        let all = |numbers: &[u32]| numbers.iter().map(|number| vmid(*number)).collect::<Vec<_>>();
        let want = [
            ("nightly", true, Coverage::AllBut(vec![]), false),
            ("some", true, Coverage::Only(all(&[101, 102, 103])), true),
            ("rest", true, Coverage::AllBut(all(&[101])), false),
            ("rest2", true, Coverage::AllBut(all(&[102, 103])), false),
            ("pool", false, Coverage::Pool("web".to_owned()), false),
            ("odd", true, Coverage::Untold, false),
        ];
        assert_eq!(told, want.map(|(id, enabled, covers, here)| (id.to_owned(), enabled, covers, here)));
    }

    #[test]
    fn tasks_of_backups_are_told_from_others() {
        let body = br#"{"total":26,"data":[{"node":"pve1","status":"job errors","starttime":1795966865,"type":"vzdump","id":"",
            "upid":"UPID:pve1:00002182:0007F954:6B0C4791:vzdump::root@pam!rec:","endtime":1795966867},
            {"status":"OK","id":"201","upid":"UPID:pve1:000019A7:00064BAF:6B0C4346:vzdump:201:root@pam:","endtime":1795965776},
            {"status":"RUNNING","upid":"UPID:pve1:000019A7:00064BAF:6B0C4346:vzdump:202:root@pam:"},
            {"status":"OK","upid":"UPID:pve1:000019A7:00064BAF:6B0C4346:qmstart:202:root@pam:","endtime":1795965776}]}"#;
        let tasks = parse::<Entries<BackupRow>>(body).unwrap().list.into_iter().filter_map(BackupRow::task);
        let tasks: Vec<_> = tasks.map(|task| (task.vmid, task.ended.is_some(), task.end)).collect();
        assert_eq!(
            tasks,
            [
                (None, true, Some(TaskEnd::Failed("job errors".to_owned()))),
                (Some(vmid(201)), true, Some(TaskEnd::Ok)),
                (Some(vmid(202)), false, None),
            ]
        );
    }
}
