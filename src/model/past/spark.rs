//! Numbers over time in one line of a table.

/// From the lowest to the highest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Like `BLOCKS`, if the locale is not UTF-8: more ink is more.
const ASCII: [char; 8] = ['_', '.', '-', '~', '=', '+', '*', '#'];

/// What the highest block stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// 100 percent: rows can be compared.
    Percent,
    /// The largest of the numbers: the form is seen, not the size. The lowest block is zero all the same.
    Own,
}

/// At most `width` columns, fewer where there are fewer points. Points that share a column show their largest, so that
/// peaks stay; what is not known, or no number, is blank.
pub(crate) fn sparkline(points: &[Option<f64>], width: usize, scale: Scale, utf8: bool) -> String {
    let columns = width.min(points.len());
    let column = |i: usize| {
        let (begin, end) = (i * points.len() / columns, (i + 1) * points.len() / columns);
        points[begin..end].iter().flatten().copied().filter(|number| number.is_finite()).reduce(f64::max)
    };
    let largest: Vec<Option<f64>> = (0..columns).map(column).collect();
    let top = match scale {
        Scale::Percent => 100.0,
        Scale::Own => largest.iter().flatten().copied().fold(0.0, f64::max),
    };
    let ink = if utf8 { BLOCKS } else { ASCII };
    largest.into_iter().map(|number| number.map_or(' ', |number| ink[level(number, top)])).collect()
}

/// Which of the eight: the first for zero and less, the last for `top` and more.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7 after the clamp")]
fn level(number: f64, top: f64) -> usize {
    let share = if top > 0.0 { number / top } else { 0.0 };
    (share * 7.0).round().clamp(0.0, 7.0) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(numbers: &[f64]) -> Vec<Option<f64>> {
        numbers.iter().copied().map(Some).collect()
    }

    #[test]
    fn points_become_blocks() {
        let steps: Vec<f64> = (0..8).map(|i| f64::from(i) * 100.0 / 7.0).collect();
        let mut gap = known(&[100.0, 100.0, 100.0, 0.0]);
        gap[1] = None;
        gap[2] = Some(f64::NAN);
        let peak = known(&[0.0, 0.0, 0.0, 90.0, 0.0, 0.0]);
        for (points, width, scale, utf8, want) in [
            (known(&steps), 80, Scale::Percent, true, "▁▂▃▄▅▆▇█"),
            (known(&steps), 80, Scale::Percent, false, "_.-~=+*#"),
            (known(&steps), 4, Scale::Percent, true, "▂▄▆█"),
            (gap, 80, Scale::Percent, true, "█  ▁"),
            (peak.clone(), 3, Scale::Percent, true, "▁▇▁"),
            (peak, 4, Scale::Own, true, "▁▁█▁"),
            (known(&[0.0, 0.0]), 9, Scale::Own, true, "▁▁"),
            (known(&[3.0, 1.5, 3.0]), 9, Scale::Own, true, "█▅█"),
            (known(&[-5.0, 250.0]), 9, Scale::Percent, true, "▁█"),
            (vec![None, None], 9, Scale::Own, true, "  "),
            (vec![], 9, Scale::Own, true, ""),
            (known(&[1.0]), 0, Scale::Own, true, ""),
        ] {
            assert_eq!(sparkline(&points, width, scale, utf8), want, "{points:?}");
        }
    }

    proptest! {
        #[test]
        fn any_points_fit(
            points in prop::collection::vec(prop::option::of(any::<f64>()), 0..200), width in 0..100_usize,
        ) {
            for scale in [Scale::Percent, Scale::Own] {
                let line = sparkline(&points, width, scale, true);
                prop_assert_eq!(line.chars().count(), width.min(points.len()));
                prop_assert!(line.chars().all(|c| c == ' ' || BLOCKS.contains(&c)));
            }
        }
    }
}
