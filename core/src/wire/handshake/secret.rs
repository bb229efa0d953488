//! The cookie, the keys made of it, and the proofs made with them.

use alloc::vec::Vec;
use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The size of hashes, proofs and nonces, in bytes.
pub(super) const HASH: usize = 32;

/// The secret that the nodes of a cluster share. Wiped from memory when dropped, never shown.
///
/// Its strength is all that a cluster without TLS has: who watches a handshake can try guesses at leisure. Make it of
/// 32 random bytes.
#[derive(Clone)]
pub struct Cookie(Zeroizing<Vec<u8>>);

/// A text is too short to be a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cookie of {len} bytes is too short: give it at least {min}, better 32 random ones", min = Cookie::MIN_LEN)]
pub struct CookieError {
    /// Its length in bytes.
    pub len: usize,
}

impl Cookie {
    /// The fewest bytes that are accepted.
    pub const MIN_LEN: usize = 8;
    /// Fewer bytes than this are [weak](Cookie::is_weak).
    pub const STRONG_LEN: usize = 32;

    /// Takes the secret's bytes.
    ///
    /// # Errors
    /// When there are fewer than [`Cookie::MIN_LEN`].
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Cookie, CookieError> {
        let secret = secret.as_ref();
        if secret.len() < Self::MIN_LEN {
            return Err(CookieError { len: secret.len() });
        }
        Ok(Cookie(Zeroizing::new(secret.to_vec())))
    }

    /// Whether it is so short that it should be warned of: it keeps clusters apart, and nobody out.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.0.len() < Self::STRONG_LEN
    }

    #[expect(clippy::expect_used, reason = "HKDF gives up to 255 hashes of output, this is one")]
    pub(super) fn key(&self) -> Key {
        let mut key = Zeroizing::new([0; HASH]);
        Hkdf::<Sha256>::new(None, &self.0).expand(b"ph-auth-v1", &mut *key).expect("one hash of output");
        Key(key)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(redacted)")
    }
}

/// Who gives a proof: part of it, so that one side's is worth nothing from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Prover {
    Initiator = b'i',
    Responder = b'r',
}

/// What a proof is about: all that was said, on which channel.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    pub(super) prover: Prover,
    pub(super) exporter: &'a [u8; HASH],
    pub(super) transcript: &'a [u8; HASH],
    /// What the prover says beside the proof.
    pub(super) beside: &'a [u8],
}

/// A key for proofs.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; HASH]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl Key {
    /// The proof of a claim.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub(super) fn prove(&self, claim: &Claim<'_>) -> [u8; HASH] {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.0).expect("a key of any length");
        mac.chain_update([claim.prover as u8])
            .chain_update(claim.exporter)
            .chain_update(claim.transcript)
            .chain_update(claim.beside)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether one of `proofs` proves the claim; takes as long whether or not.
    pub(super) fn verifies(&self, claim: &Claim<'_>, proofs: &[[u8; HASH]]) -> bool {
        let expected = self.prove(claim);
        proofs.iter().fold(subtle::Choice::from(0), |found, proof| found | expected.ct_eq(proof)).into()
    }
}

/// The hash of two things that were said, each with its length, so that no two pairs are alike.
pub(super) fn transcript(first: &[u8], second: &[u8]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    for part in [first, second] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
