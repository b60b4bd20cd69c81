//! Names and texts, in their order, as a map, for `#[serde(with = "…")]`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserializer, Serializer};

type Pairs<'r> = Vec<(Cow<'static, str>, Cow<'r, str>)>;

pub(crate) fn serialize<S: Serializer>(
    pairs: &[(Cow<'static, str>, Cow<'_, str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

pub(crate) fn deserialize<'de, 'r, D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'r>, D::Error> {
    struct Reader<'r>(PhantomData<Pairs<'r>>);

    impl<'de, 'r> Visitor<'de> for Reader<'r> {
        type Value = Pairs<'r>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("texts by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                pairs.push((name.into(), value.into()));
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Reader(PhantomData))
}
