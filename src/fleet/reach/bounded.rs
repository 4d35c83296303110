//! Many questions at once, and not too many: for this machine and for the ones that are asked.

use std::collections::HashMap;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;

use crate::model::id::NodeName;

/// A node works on three requests at a time; more would only keep its other users waiting.
const ON_A_NODE: usize = 3;

/// Does all of `work`, begun in the given order and at most `at_once` at a time. The answers come in no order.
pub(in crate::fleet) async fn bounded<F: Future>(at_once: usize, work: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(work).buffer_unordered(at_once).collect().await
}

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
    let on_node = |work: Vec<W>| bounded(ON_A_NODE, work.into_iter().map(&ask));
    join_all(nodes.into_values().map(on_node)).await.into_iter().flatten().collect()
}
