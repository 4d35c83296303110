//! Many questions to the nodes of a cluster, without keeping them from their other work.

use std::collections::HashMap;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;

use crate::model::id::NodeName;

/// A node works on three requests at a time; more would only keep its other users waiting.
const AT_ONCE: usize = 3;

/// Asks all of `work`, each about something on the node it comes with: nodes beside each other, on each of them in the
/// given order and three at a time. The answers come in no order.
pub(in crate::fleet) async fn per_node<W, T, F: Future<Output = T>>(
    work: impl IntoIterator<Item = (NodeName, W)>,
    ask: impl Fn(W) -> F,
) -> Vec<T> {
    let mut nodes: HashMap<NodeName, Vec<W>> = HashMap::new();
    for (node, one) in work {
        nodes.entry(node).or_default().push(one);
    }
    let on_node = |work: Vec<W>| async {
        let mut waiting = work.into_iter();
        let mut running: FuturesUnordered<F> = waiting.by_ref().take(AT_ONCE).map(&ask).collect();
        let mut answers = Vec::new();
        while let Some(answer) = running.next().await {
            answers.push(answer);
            running.extend(waiting.next().map(&ask));
        }
        answers
    };
    join_all(nodes.into_values().map(on_node)).await.into_iter().flatten().collect()
}
