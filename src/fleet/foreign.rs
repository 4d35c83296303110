//! What this room reads of what the scripts print on servers, for those who try any bytes on it.

use super::onboard::answer;
use super::onboard::script::{Action, Request};
use crate::fleet::act::wake;
use crate::fleet::host::{checkup, facts, load, power};
use crate::model::access::scope::TokenScope;
use crate::model::foreign::Reader;

/// Each reader with its name.
pub(crate) fn readers() -> impl Iterator<Item = &'static Reader> {
    const OWN: &[Reader] = &[
        ("setup", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Ok(token) = "ecobox@pve!lap-1".parse() else { return };
            let create = Action::Create { token, comment: String::new(), replaces: None };
            for action in [create, Action::Remove, Action::Revoke] {
                let ssh_user = "ann".to_owned();
                drop(answer::parse(
                    &text,
                    &Request { action, scope: TokenScope::Operator, remove: Vec::new(), ssh_user },
                ));
            }
        }),
        ("checkup", |bytes| {
            let sent = checkup::Sent { from: 0.0, until: 1.0 };
            drop(checkup::parse(&String::from_utf8_lossy(bytes), sent));
        }),
        ("facts", |bytes| drop(facts::parse(&String::from_utf8_lossy(bytes)))),
        ("load", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (reading, _) = load::read(&text, None, None);
            drop(load::read(&text, Some(&reading), Some(200.0)));
        }),
    ];
    OWN.iter().chain(power::READERS).chain(wake::READERS)
}
