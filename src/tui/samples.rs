//! The last measurements of a server: as many as a chart has room for, and never more.

use std::collections::VecDeque;

use jiff::Timestamp;

/// How many are kept of each server.
pub(crate) const KEPT: usize = 240;

/// What was measured at one moment. `None` is unknown, never zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: Timestamp,
    pub(crate) cpu_percent: Option<f32>,
    pub(crate) memory_percent: Option<f32>,
    /// Bytes a second.
    pub(crate) receive: Option<f32>,
    pub(crate) transmit: Option<f32>,
}

/// Measurements in the order of time, the oldest of which give way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ring(VecDeque<Point>);

impl Ring {
    /// Takes more of them, whatever their order; of one moment the later one counts.
    pub(crate) fn extend(&mut self, points: Vec<Point>) {
        for point in points {
            match self.0.back() {
                Some(last) if last.at >= point.at => {
                    let place = self.0.partition_point(|known| known.at < point.at);
                    match self.0.get_mut(place) {
                        Some(known) if known.at == point.at => *known = point,
                        _ => self.0.insert(place, point),
                    }
                }
                _ => self.0.push_back(point),
            }
            if self.0.len() > KEPT {
                self.0.pop_front();
            }
        }
    }

    /// The last `number` of them, the oldest first.
    pub(crate) fn last(&self, number: usize) -> impl Iterator<Item = &Point> {
        self.0.range(self.0.len().saturating_sub(number)..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way_and_order_does_not_matter() {
        let point = |second: i64, cpu| Point {
            at: Timestamp::from_second(second).unwrap(),
            cpu_percent: cpu,
            memory_percent: None,
            receive: None,
            transmit: None,
        };
        let mut ring = Ring::default();
        ring.extend(vec![point(5, Some(5.0)), point(1, None), point(3, Some(3.0)), point(3, Some(4.0))]);
        let seen: Vec<_> = ring.last(9).map(|p| (p.at.as_second(), p.cpu_percent)).collect();
        assert_eq!(seen, [(1, None), (3, Some(4.0)), (5, Some(5.0))]);
        ring.extend((6..1000).map(|second| point(second, None)).collect());
        assert_eq!(ring.last(usize::MAX).count(), KEPT);
        assert_eq!(ring.last(1).next().unwrap().at.as_second(), 999);
        // What is older than all that is kept is not kept.
        ring.extend(vec![point(2, Some(1.0))]);
        assert_eq!(ring.last(KEPT).next().unwrap().cpu_percent, None);
    }
}
