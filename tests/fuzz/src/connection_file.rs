//! The file by which a peer finds a controller.

use ipclusterz_base::connection::{ConnectionFile, CurveKeys};
use std::path::Path;

/// Any text as a connection file: refused in words, or a file that reads back, whose keys are in no message.
pub fn connection_file(bytes: &[u8]) {
    let path = Path::new("client.json");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = match ConnectionFile::parse(text, path) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            return;
        }
    };
    let again = serde_json::to_string(&file).expect("JSON");
    assert_eq!(ConnectionFile::parse(&again, path).expect("our own file"), file);
    let _ = (file.local_address(), file.reachable_addresses());
    if let Some(keys) = &file.curve {
        let other = CurveKeys { secret: "another".to_owned(), ..keys.clone() };
        let shown = format!("{:?}", ConnectionFile { curve: Some(other), ..file.clone() });
        assert_eq!(format!("{file:?}"), shown, "a secret is shown");
    }
    for address in file.addresses.clone() {
        if let Ok(at) = file.clone().at(&address) {
            assert_eq!(at.addresses, [address]);
        }
    }
}
