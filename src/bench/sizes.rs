//! How large records are. Pure.

use super::random::Random;

/// The longest of records whose sizes vary by chance, in means: one in nine million would be longer.
const LONGEST_IN_MEANS: usize = 16;

/// Bytes of records' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    Fixed(usize),
    /// From the first to the last, all as often.
    Even(usize, usize),
    /// Many short ones and few long ones around this mean, as log lines and events come: exponential.
    Varied(usize),
}

impl Sizes {
    pub fn next(self, random: &mut Random) -> usize {
        match self {
            Sizes::Fixed(bytes) => bytes,
            Sizes::Even(least, most) => {
                let choices = most.saturating_sub(least) as u64 + 1;
                least + usize::try_from(random.next() % choices).unwrap_or(0)
            }
            Sizes::Varied(mean) => ((-random.share().ln() * mean as f64) as usize).min(self.most()),
        }
    }

    /// Before room for the stamp is made.
    pub fn least(self) -> usize {
        match self {
            Sizes::Fixed(bytes) | Sizes::Even(bytes, _) => bytes,
            // Those that come out shorter than a stamp are as long as one.
            Sizes::Varied(mean) => mean,
        }
    }

    pub fn most(self) -> usize {
        match self {
            Sizes::Fixed(bytes) | Sizes::Even(_, bytes) => bytes,
            Sizes::Varied(mean) => mean.saturating_mul(LONGEST_IN_MEANS),
        }
    }

    pub fn mean(self) -> usize {
        match self {
            Sizes::Fixed(bytes) | Sizes::Varied(bytes) => bytes,
            Sizes::Even(least, most) => least.midpoint(most),
        }
    }

    /// As the flag has it: `1024`, `100..4000`, `varied:1000`. `None`: it is none of them.
    pub fn parse(text: &str) -> Option<Sizes> {
        match (text.split_once(".."), text.strip_prefix("varied:")) {
            (Some((least, most)), _) => Some(Sizes::Even(least.parse().ok()?, most.parse().ok()?)),
            (_, Some(mean)) => mean.parse().ok().map(Sizes::Varied),
            _ => text.parse().ok().map(Sizes::Fixed),
        }
    }

    /// As the flag has it.
    pub fn text(self) -> String {
        match self {
            Sizes::Fixed(bytes) => bytes.to_string(),
            Sizes::Even(least, most) => format!("{least}..{most}"),
            Sizes::Varied(mean) => format!("varied:{mean}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sizes: Sizes) -> (usize, usize, f64) {
        let mut random = Random::new(1);
        let all: Vec<usize> = (0..100_000).map(|_| sizes.next(&mut random)).collect();
        let least = all.iter().min().copied().unwrap_or(0);
        let most = all.iter().max().copied().unwrap_or(0);
        (least, most, all.iter().sum::<usize>() as f64 / all.len() as f64)
    }

    #[test]
    fn sizes_keep_to_their_bounds_and_have_the_mean_that_they_say() {
        assert_eq!(drawn(Sizes::Fixed(100)), (100, 100, 100.0));
        for (sizes, least, most) in [(Sizes::Even(100, 300), 100, 300), (Sizes::Varied(1000), 0, 16_000)] {
            let (from, to, mean) = drawn(sizes);
            assert!(from >= least && to <= most, "{sizes:?}: {from} to {to}");
            assert!((mean / sizes.mean() as f64 - 1.0).abs() < 0.02, "{sizes:?}: {mean}");
        }
        assert_eq!(drawn(Sizes::Even(100, 101)).0, 100);
    }

    #[test]
    fn few_of_varied_sizes_are_long() {
        let mut random = Random::new(2);
        let long = (0..100_000).filter(|_| Sizes::Varied(1000).next(&mut random) > 3000).count();
        // e^-3.
        assert!((4_700..5_300).contains(&long), "{long}");
    }
}
