//! What happens to the cluster just before or after a request: a guest that migrates between two calls of a client.

use std::fmt;

use crate::cluster::Cluster;

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the request is looked at, a failure on demand included.
    Before,
    /// After it was carried out, before the client gets its answer.
    After,
}

/// What happens.
pub(crate) type Deed = Box<dyn FnMut(&mut Cluster) + Send>;

/// One thing that happens, and at which requests.
pub(crate) struct Hook {
    pub(crate) moment: Moment,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) left: u32,
    pub(crate) deed: Deed,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} *{}*, {} times", self.moment, self.method, self.path, self.left)
    }
}

impl Cluster {
    /// Does this to the cluster at the next `times` requests of this method whose path contains this text.
    pub fn on_request(
        &mut self,
        moment: Moment,
        method: &str,
        path: &str,
        times: u32,
        deed: impl FnMut(&mut Cluster) + Send + 'static,
    ) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.hooks.push(Hook { moment, method, path, left: times, deed: Box::new(deed) });
    }

    /// Does this once, before such a request is looked at.
    pub fn before(&mut self, method: &str, path: &str, deed: impl FnMut(&mut Cluster) + Send + 'static) {
        self.on_request(Moment::Before, method, path, 1, deed);
    }

    /// Does this once, after such a request was carried out.
    pub fn after(&mut self, method: &str, path: &str, deed: impl FnMut(&mut Cluster) + Send + 'static) {
        self.on_request(Moment::After, method, path, 1, deed);
    }

    /// Runs what is due at a request; whether there was anything.
    pub(crate) fn run_hooks(&mut self, moment: Moment, method: &str, path: &str) -> bool {
        // A deed may add others.
        let mut hooks = std::mem::take(&mut self.hooks);
        let mut any = false;
        for hook in &mut hooks {
            if hook.left > 0 && hook.moment == moment && hook.method == method && path.contains(&hook.path) {
                hook.left -= 1;
                any = true;
                (hook.deed)(self);
            }
        }
        hooks.retain(|hook| hook.left > 0);
        hooks.append(&mut self.hooks);
        self.hooks = hooks;
        any
    }
}
