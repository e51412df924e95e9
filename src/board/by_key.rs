//! Counts by key as a sorted list. Most checks have a key or two, and the first node of a tree takes the room of eleven. Pure; knows no keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts by key, in order of the keys. As JSON it is the object that a map is.
#[derive(Clone, Debug, PartialEq)]
pub struct ByKey<K, V = u64>(Vec<(K, V)>);

impl<K, V> Default for ByKey<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> ByKey<K, V> {
    /// What there is of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.0.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        self.0.get(place).map(|(_, v)| v)
    }

    /// All, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Changes what there is of a key; of a new one that is nothing.
    pub(super) fn change(&mut self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        let place = self.0.binary_search_by(|(k, _)| k.cmp(&key)).unwrap_or_else(|place| {
            // No room for more: as a rule there never are.
            self.0.reserve_exact(1);
            self.0.insert(place, (key, V::default()));
            place
        });
        if let Some((_, value)) = self.0.get_mut(place) {
            change(value);
        }
    }
}

impl<K: Ord> ByKey<K> {
    /// Adds to a key.
    pub(super) fn add(&mut self, key: K, n: u64) {
        self.change(key, |sum| *sum += n);
    }

    /// Adds all of another one.
    pub(super) fn sum(&mut self, other: &Self)
    where
        K: Clone,
    {
        other.iter().for_each(|(key, n)| self.add(key.clone(), *n));
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for ByKey<K, V> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter())
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for ByKey<K, V> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::<K, V>::deserialize(d)?.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Attribution, Class};

    #[test]
    fn it_is_stored_as_a_map_is() {
        let (mut list, mut map) = (ByKey::<Class, ByKey<Attribution>>::default(), BTreeMap::<Class, BTreeMap<Attribution, u64>>::new());
        let (mut codes, mut map_of_codes) = (ByKey::<u16>::default(), BTreeMap::<u16, u64>::new());
        let mut same = || {
            for (n, class) in Class::ALL.iter().rev().enumerate() {
                let attribution = Attribution::ALL[n % Attribution::ALL.len()];
                list.change(*class, |by| by.add(attribution, 2));
                *map.entry(*class).or_default().entry(attribution).or_default() += 2;
                let code = 600 - (n as u16 * 7) % 11;
                codes.add(code, 1);
                *map_of_codes.entry(code).or_default() += 1;
            }
            let (json, json_of_codes) = (serde_json::to_string(&list).unwrap(), serde_json::to_string(&codes).unwrap());
            assert_eq!((&json, &json_of_codes), (&serde_json::to_string(&map).unwrap(), &serde_json::to_string(&map_of_codes).unwrap()));
            assert_eq!(serde_json::from_str::<ByKey<Class, ByKey<Attribution>>>(&json).unwrap(), list);
            assert_eq!(serde_json::from_str::<ByKey<u16>>(&json_of_codes).unwrap(), codes);
        };
        same();
        same();
        assert_eq!((codes.get(&600), codes.get(&1)), (map_of_codes.get(&600), None));
        // Written by hand, in another order.
        assert_eq!(serde_json::from_str::<ByKey<u16>>("{\"500\":2,\"200\":1}").unwrap().iter().next(), Some((&200, &1)));
    }
}
