//! In which order queues are looked at: pure.

use std::sync::Arc;

/// The queues of a worker and how they stand to each other.
///
/// ```
/// use forebay_jobs::fetch::Order;
/// // Nothing is taken from `low` as long as something is in `mail`.
/// let strict = Order::strict(["mail", "low"]);
/// // Both are; `mail` is looked at first five times out of six.
/// let weighted = Order::weighted([("mail", 5), ("low", 1)]);
/// assert_eq!(strict.names(), weighted.names());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    names: Arc<[Arc<str>]>,
    /// None for a strict order.
    weights: Option<Vec<u32>>,
}

impl Order {
    /// In this order, always. A name that is there twice counts where it is first.
    ///
    /// ```
    /// use forebay_jobs::fetch::Order;
    /// let order = Order::strict(["critical", "default", "critical"]);
    /// assert_eq!(order.names().iter().map(|it| &**it).collect::<Vec<_>>(), ["critical", "default"]);
    /// ```
    pub fn strict<'n>(names: impl IntoIterator<Item = &'n str>) -> Order {
        Order { names: distinct(names.into_iter().map(|name| (name, 0))).0.into(), weights: None }
    }

    /// Shuffled on each turn, a queue before another as often as its weight says. A weight of 0 is 1; of a
    /// name that is there twice the weights are added, as Sidekiq does.
    ///
    /// ```
    /// use forebay_jobs::fetch::Order;
    /// let order = Order::weighted([("mail", 3), ("low", 0), ("mail", 2)]);
    /// assert_eq!(order.weights(), Some([5, 1].as_slice()));
    /// ```
    pub fn weighted<'n>(queues: impl IntoIterator<Item = (&'n str, u32)>) -> Order {
        let (names, weights) = distinct(queues.into_iter().map(|(name, it)| (name, it.max(1))));
        Order { names: names.into(), weights: Some(weights) }
    }

    /// All of them, in the order in which they were named.
    ///
    /// ```
    /// use forebay_jobs::fetch::Order;
    /// assert_eq!(&*Order::default().names()[0], "default");
    /// ```
    pub fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    /// Their weights, where the order is not strict. Beside [`Order::names`], one each.
    ///
    /// ```
    /// use forebay_jobs::fetch::Order;
    /// assert_eq!(Order::strict(["mail", "low"]).weights(), None);
    /// assert_eq!(Order::weighted([("mail", 5), ("low", 1)]).weights(), Some([5, 1].as_slice()));
    /// ```
    pub fn weights(&self) -> Option<&[u32]> {
        self.weights.as_deref()
    }

    /// The order of one turn. `chance` gives numbers of 0 to below 1.
    pub(crate) fn draw(&self, mut chance: impl FnMut() -> f64) -> Arc<[Arc<str>]> {
        let Some(weights) = self.weights.as_ref().filter(|weights| weights.len() > 1) else {
            return Arc::clone(&self.names);
        };
        // A list in which each name stands as often as its weight says, shuffled, the first of each kept,
        // is what Sidekiq takes; keys of `ln(u) / weight` give the same orders with the same chances
        // (Efraimidis and Spirakis, 2006).
        let mut keyed: Vec<(f64, &Arc<str>)> = weights
            .iter()
            .zip(self.names.iter())
            .map(|(weight, name)| ((1.0 - chance()).ln() / f64::from(*weight), name))
            .collect();
        keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
        keyed.into_iter().map(|(_, name)| Arc::clone(name)).collect()
    }
}

impl Default for Order {
    fn default() -> Order {
        Order::strict(["default"])
    }
}

fn distinct<'n>(queues: impl Iterator<Item = (&'n str, u32)>) -> (Vec<Arc<str>>, Vec<u32>) {
    let (mut names, mut weights) = (Vec::<Arc<str>>::new(), Vec::<u32>::new());
    for (name, weight) in queues {
        let known = names.iter().position(|it| **it == *name);
        if let Some(sum) = known.and_then(|at| weights.get_mut(at)) {
            *sum = sum.saturating_add(weight);
        } else {
            names.push(name.into());
            weights.push(weight);
        }
    }
    (names, weights)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_strict_order_is_always_the_same() {
        let order = Order::strict(["a", "b", "a"]);
        assert_eq!(order.draw(|| 0.9).iter().map(|it| &**it).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_queue_is_first_as_often_as_its_weight_says() {
        let order = Order::weighted([("a", 3), ("b", 1), ("a", 2)]);
        let mut chance = fastrand::Rng::with_seed(7);
        let firsts = (0..60_000).filter(|_| *order.draw(|| chance.f64())[0] == *"a").count();
        // Five of six; six standard deviations are 550.
        assert!((49_450..50_550).contains(&firsts), "{firsts}");
    }

    proptest! {
        #[test]
        fn each_queue_is_there_once(weights in proptest::collection::vec(0_u32..9, 1..9), seed: u64) {
            let names: Vec<String> = (0..weights.len()).map(|n| n.to_string()).collect();
            let queues = names.iter().map(String::as_str).zip(weights);
            let order = Order::weighted(queues);
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut drawn: Vec<Arc<str>> = order.draw(|| chance.f64()).to_vec();
            drawn.sort();
            let mut all = order.names().to_vec();
            all.sort();
            prop_assert_eq!(drawn, all);
        }
    }
}
