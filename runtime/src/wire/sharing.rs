//! While a state is written down or read back, what several places of it share is written once.
//!
//! The first place has the value, and each further one the number of the first. Only within [`scope`]; elsewhere each
//! place has the value.

use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserializer, Serialize, Serializer};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

thread_local! {
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

/// Frames that are kept elsewhere, and how they are found again there.
pub trait Elsewhere {
    /// The number under which the frame with these bytes is kept, if it is.
    fn number_of(&self, bytes: &[u8]) -> Option<u64>;
    /// The frame with this number and length.
    fn frame(&self, number: u64, length: usize) -> Option<Rc<dyn Any>>;
}

/// What was seen so far.
#[derive(Default)]
struct Table {
    /// By its address and size, when a state is written.
    numbers: HashMap<(usize, usize), u64>,
    /// In the order of their numbers, when it is read.
    values: Vec<Rc<dyn Any>>,
    elsewhere: Option<Rc<dyn Elsewhere>>,
}

/// Within `call` values are shared.
pub fn scope<T>(elsewhere: Option<Rc<dyn Elsewhere>>, call: impl FnOnce() -> T) -> T {
    TABLE.with(|table| *table.borrow_mut() = Some(Table { elsewhere, ..Table::default() }));
    let result = call();
    TABLE.with(|table| *table.borrow_mut() = None);
    result
}

/// The number of what is at this address, if it was written before.
pub(super) fn number_of(address: usize, size: usize) -> Option<u64> {
    TABLE.with(|table| table.borrow().as_ref()?.numbers.get(&(address, size)).copied())
}

/// Where frames are kept that need not be written.
pub(super) fn elsewhere() -> Option<Rc<dyn Elsewhere>> {
    TABLE.with(|table| table.borrow().as_ref()?.elsewhere.clone())
}

/// What is at this address was written, with all that is in it.
pub(super) fn written(address: usize, size: usize) {
    TABLE.with(|table| {
        if let Some(table) = table.borrow_mut().as_mut() {
            let next = table.numbers.len() as u64;
            table.numbers.insert((address, size), next);
        }
    });
}

/// A value was read; further places may name it.
pub(super) fn remember<T: Any>(value: Rc<T>) {
    TABLE.with(|table| {
        if let Some(table) = table.borrow_mut().as_mut() {
            table.values.push(value);
        }
    });
}

/// The value with this number, as it was read.
pub(super) fn recall<T: Any>(number: u64) -> Option<Rc<T>> {
    TABLE.with(|table| {
        let table = table.borrow();
        let value = table.as_ref()?.values.get(usize::try_from(number).ok()?)?;
        Rc::clone(value).downcast().ok()
    })
}

/// For `#[serde(with)]`: an `Rc` that several places share.
pub mod rc {
    use super::{Any, DeserializeOwned, Deserializer, PhantomData, Rc, Serialize, Serializer, Shared};

    /// Writes the value, or its number.
    pub fn serialize<T: Serialize, S: Serializer>(value: &Rc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        // Its type's size tells apart two values at one address, of which one is the beginning of the other.
        let (address, size) = (Rc::as_ptr(value) as usize, size_of::<T>());
        if let Some(number) = super::number_of(address, size) {
            return number.serialize(serializer);
        }
        let done = value.as_ref().serialize(serializer)?;
        super::written(address, size);
        Ok(done)
    }

    /// Reads it back.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Rc<T>, D::Error>
    where
        T: DeserializeOwned + Any,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(Shared(PhantomData))
    }
}

struct Shared<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned + Any> Visitor<'de> for Shared<T> {
    type Value = Rc<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value, or the number of one that was there before")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Rc<T>, E> {
        recall(number).ok_or_else(|| E::custom(format!("there is no value with the number {number}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rc<T>, A::Error> {
        let value = Rc::new(T::deserialize(value::MapAccessDeserializer::new(map))?);
        remember(Rc::clone(&value));
        Ok(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Rc<T>, A::Error> {
        let value = Rc::new(T::deserialize(value::SeqAccessDeserializer::new(seq))?);
        remember(Rc::clone(&value));
        Ok(value)
    }
}
