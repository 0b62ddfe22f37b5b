//! What the attribute does, with a stand-in for the extension module.

use ipclusterz_guard::guarded;

mod errors {
    pub fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        caught.unwrap_or_else(|panic| Err(format!("a bug: {}", panic.downcast_ref::<&str>().expect("a text"))))
    }
}

struct Numbers(Vec<u32>);

#[guarded]
impl Numbers {
    /// Braces of other kinds: of a match, of a closure, of a struct.
    fn at(&self, index: usize) -> Result<u32, String> {
        let Some(found) = self.0.get(index).map(|number| number + 1) else { return Err("none".to_owned()) };
        match found {
            1 => panic!("one"),
            other => Ok(other),
        }
    }

    unsafe fn taken(self) -> Result<Self, String> {
        Ok(Numbers { ..self })
    }
}

#[guarded]
fn alone(text: &str) -> Result<&str, String> {
    assert!(!text.is_empty(), "empty");
    Ok(text)
}

#[test]
fn a_panic_is_an_error_and_everything_else_stays() {
    let numbers = Numbers(vec![0, 7]);
    assert_eq!(numbers.at(0), Err("a bug: one".to_owned()));
    assert_eq!((numbers.at(1), numbers.at(2)), (Ok(8), Err("none".to_owned())));
    // SAFETY: it does nothing unsafe.
    assert!(unsafe { numbers.taken() }.is_ok());
    assert_eq!((alone("x"), alone("")), (Ok("x"), Err("a bug: empty".to_owned())));
}
