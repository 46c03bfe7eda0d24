//! Codes that only a holder of the key can make.

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

/// HMAC-SHA-256 under `key` (RFC 2104), for what is then added to it.
pub(crate) fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of one block is taken as it is, so that nothing can fail: to pad a shorter one with
    // zeros is what HMAC does itself.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into())
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;
    use proto::Hex;

    use super::*;

    /// As Python's `hmac.new(bytes(range(32)), b"text", "sha256")` has it.
    #[test]
    fn a_code_is_what_every_implementation_makes_of_the_key() {
        let key = std::array::from_fn(|byte| u8::try_from(byte).unwrap_or_default());
        let code = mac(&key).chain_update(b"text").finalize().into_bytes();
        assert_eq!(
            Hex(&code).to_string(),
            "27a0eabaf34a3623827e82713f146e82e8c1a889564c6df9e5045f5fc6f61709"
        );
    }
}
