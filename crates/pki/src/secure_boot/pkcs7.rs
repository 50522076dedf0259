//! PKCS #7 as firmware reads it: one signer, SHA-256 with RSA, no time.

use cms::cert::x509::attr::Attribute;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode as _, Encode as _, Tag, Tagged as _};
use sha2::{Digest as _, Sha256};

use super::{Certificate, SecureBootError, Signer};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `SPC_INDIRECT_DATA_OBJID`.
const INDIRECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `SpcIndirectDataContent` before the digest: `SPC_PE_IMAGE_DATAOBJ` with no flags and the file named `<<<Obsolete>>>`,
/// as the format wants it, then SHA-256.
const BEFORE_DIGEST: &[u8] = &[
    0x30, 0x17, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01,
    0x0f, // 1.3.6.1.4.1.311.2.1.15
    0x30, 0x09, 0x03, 0x01, 0x00, 0xa0, 0x04, 0xa2, 0x02, 0x80,
    0x00, // no flags; a file with an empty name
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, // SHA-256
    0x04, 0x20,
];

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

/// The signature of an EFI program with this digest: a `ContentInfo` in DER.
///
/// # Errors
/// The key cannot sign.
pub(super) fn authenticode(digest: &[u8; 32], signer: &Signer) -> Result<Vec<u8>, SecureBootError> {
    let content = [BEFORE_DIGEST, digest].concat();
    let made = || -> der::Result<(EncapsulatedContentInfo, Vec<u8>)> {
        let attributes = SetOfVec::try_from(vec![
            attribute(CONTENT_TYPE, Any::from_der(&INDIRECT.to_der()?)?)?,
            attribute(MESSAGE_DIGEST, Any::new(Tag::OctetString, Sha256::digest(&content).to_vec())?)?,
        ])?;
        let inside = Any::new(Tag::Sequence, content.as_slice())?;
        let info = EncapsulatedContentInfo { econtent_type: INDIRECT, econtent: Some(inside) };
        Ok((info, attributes.to_der()?))
    };
    let (info, attributes) = made().map_err(SecureBootError::broken("a signature"))?;
    let data = signed_data(&info, Some(&attributes), &attributes, signer)?;
    let whole = || -> der::Result<Vec<u8>> {
        ContentInfo { content_type: SIGNED_DATA, content: Any::from_der(&data)? }.to_der()
    };
    whole().map_err(SecureBootError::broken("a signature"))
}

/// The signature of something that stands elsewhere: a `SignedData` in DER, without attributes.
///
/// # Errors
/// The key cannot sign.
pub(super) fn detached(message: &[u8], signer: &Signer) -> Result<Vec<u8>, SecureBootError> {
    let elsewhere = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    signed_data(&elsewhere, None, message, signer)
}

/// How a signature says whose it is.
fn named(certificate: &Certificate) -> SignerIdentifier {
    let certificate = certificate.x509().tbs_certificate();
    SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
        issuer: certificate.issuer().clone(),
        serial_number: certificate.serial_number().clone(),
    })
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

fn signed_data(
    content: &EncapsulatedContentInfo,
    attributes: Option<&[u8]>,
    message: &[u8],
    signer: &Signer,
) -> Result<Vec<u8>, SecureBootError> {
    let signature = signer.sign(message)?;
    let certificate = signer.certificate().x509();
    let made = || -> der::Result<Vec<u8>> {
        let info = SignerInfo {
            version: CmsVersion::V1,
            sid: named(signer.certificate()),
            digest_alg: algorithm(SHA256),
            signed_attrs: attributes.map(SetOfVec::from_der).transpose()?,
            signature_algorithm: algorithm(RSA),
            signature: OctetString::new(signature.as_slice())?,
            unsigned_attrs: None,
        };
        SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![algorithm(SHA256)])?,
            encap_content_info: content.clone(),
            certificates: Some(vec![CertificateChoices::Certificate(certificate.clone())].try_into()?),
            crls: None,
            signer_infos: vec![info].try_into()?,
        }
        .to_der()
    };
    made().map_err(SecureBootError::broken("a signature"))
}

/// Whether this is a signature of an EFI program with this digest, by this certificate itself. Firmware also takes one by
/// a certificate that another in its db issued; here it must be that very one.
pub(super) fn is_over(signature: &[u8], digest: &[u8; 32], certificate: &Certificate) -> bool {
    let Ok(data) = parsed(signature) else { return false };
    let content = data.encap_content_info.econtent.as_ref();
    // A `DigestInfo` is the last thing in the content, and the digest the last thing in that.
    let Some(content) = content.filter(|any| any.tag() == Tag::Sequence).map(Any::value) else {
        return false;
    };
    if data.encap_content_info.econtent_type != INDIRECT || !content.ends_with(digest) {
        return false;
    }
    let content = Sha256::digest(content);
    data.signer_infos.0.iter().any(|info| is_by(info, &content, certificate))
}

fn is_by(info: &SignerInfo, content: &[u8], certificate: &Certificate) -> bool {
    let Some(attributes) = &info.signed_attrs else { return false };
    let says = |oid: ObjectIdentifier, value: &[u8]| {
        let of = attributes.iter().find(|attribute| attribute.oid == oid);
        of.is_some_and(|of| of.values.len() == 1 && of.values.iter().any(|one| one.value() == value))
    };
    info.sid == named(certificate)
        && says(CONTENT_TYPE, INDIRECT.as_bytes())
        && says(MESSAGE_DIGEST, content)
        && info.digest_alg.oid == SHA256
        && attributes.to_der().is_ok_and(|signed| certificate.signed(&signed, info.signature.as_bytes()))
}

fn parsed(signature: &[u8]) -> der::Result<SignedData> {
    // A signature in the table is padded to a multiple of eight, by some tools within its entry.
    let (info, _) = ContentInfo::from_der_partial(signature)?;
    if info.content_type != SIGNED_DATA {
        return Err(der::ErrorKind::OidUnknown { oid: info.content_type }.into());
    }
    info.content.decode_as()
}
