//! WS-Management, as Intel AMT speaks it: what is asked of a machine's power, and what the answer says (DSP0226 over SOAP
//! 1.2; states of DSP1027; classes of Intel's AMT SDK).

mod xml;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use xml::Leaf;

/// The TCP port of AMT, in the clear.
pub const PORT: u16 = 16992;
/// The same with TLS.
pub const TLS_PORT: u16 = 16993;
/// Where it is asked.
pub const PATH: &str = "/wsman";
/// What a question is.
pub const CONTENT_TYPE: &str = "application/soap+xml; charset=UTF-8";

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2";
const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";

/// An answer that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends too early.
    Short,
    /// It is no document of SOAP.
    Foreign,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "a document that ends too early",
            Self::Foreign => "no document of SOAP",
        })
    }
}

impl core::error::Error for Fault {}

/// A state that a machine's power is in, or is asked to be in (DSP1027, `PowerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power(pub u16);

impl Power {
    /// On.
    pub const ON: Self = Self(2);
    /// Off, whatever runs.
    pub const OFF: Self = Self(8);
    /// Off, after what runs was asked to stop.
    pub const OFF_GRACEFULLY: Self = Self(12);

    /// Whether a machine in this state runs; `None` of a number that says neither.
    #[must_use]
    pub const fn runs(self) -> Option<bool> {
        match self.0 {
            // On; asleep, lightly and deeply, with what it runs in memory.
            2..=4 => Some(true),
            // Off hard, hibernated, off softly.
            6..=8 => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            2 => f.write_str("on"),
            3 | 4 => f.write_str("asleep"),
            6 | 8 => f.write_str("off"),
            7 => f.write_str("hibernated"),
            12 => f.write_str("off, gracefully"),
            other => write!(f, "power state {other}"),
        }
    }
}

fn envelope((action, class): (&str, &str), number: u64, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\" \
         xmlns:w=\"{WSMAN}\"><s:Header><a:Action s:mustUnderstand=\"true\">{action}</a:Action>\
         <a:To s:mustUnderstand=\"true\">{PATH}</a:To><w:ResourceURI s:mustUnderstand=\"true\">{CIM}/{class}\
         </w:ResourceURI><a:MessageID s:mustUnderstand=\"true\">{number}</a:MessageID><a:ReplyTo><a:Address>\
         {ADDRESSING}/role/anonymous</a:Address></a:ReplyTo><w:OperationTimeout>PT15S</w:OperationTimeout>\
         </s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// Asks in which state the machine is.
#[must_use]
pub fn ask_power(number: u64) -> String {
    envelope((GET, "CIM_AssociatedPowerManagementService"), number, "")
}

/// Asks the machine to be in this state.
#[must_use]
pub fn order_power(number: u64, wanted: Power) -> String {
    let class = "CIM_PowerManagementService";
    let deed = "RequestPowerStateChange";
    let body = format!(
        "<p:{deed}_INPUT xmlns:p=\"{CIM}/{class}\"><p:PowerState>{}</p:PowerState><p:ManagedElement><a:Address>\
         {ADDRESSING}/role/anonymous</a:Address><a:ReferenceParameters><w:ResourceURI>{CIM}/CIM_ComputerSystem\
         </w:ResourceURI><w:SelectorSet><w:Selector Name=\"CreationClassName\">CIM_ComputerSystem</w:Selector>\
         <w:Selector Name=\"Name\">ManagedSystem</w:Selector></w:SelectorSet></a:ReferenceParameters>\
         </p:ManagedElement></p:{deed}_INPUT>",
        wanted.0
    );
    envelope((&format!("{CIM}/{class}/{deed}"), class), number, &body)
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said(Vec<Leaf>);

impl Said {
    /// Reads one.
    ///
    /// # Errors
    /// [`super::wsman::Fault`].
    pub fn read(text: &str) -> Result<Self, Fault> {
        let leaves = xml::leaves(text)?;
        match leaves.iter().all(|leaf| leaf.path.starts_with("Envelope/")) {
            true => Ok(Self(leaves)),
            false => Err(Fault::Foreign),
        }
    }

    fn field(&self, within: &str, name: &str) -> Option<&str> {
        let mut leaves = self.0.iter();
        let leaf = leaves.find(|leaf| leaf.path.starts_with(within) && leaf.name() == name)?;
        Some(&leaf.text)
    }

    /// In which state the machine is.
    #[must_use]
    pub fn power(&self) -> Option<Power> {
        let text = self.field("Envelope/Body/CIM_AssociatedPowerManagementService", "PowerState")?;
        text.parse().ok().map(Power)
    }

    /// What came of an order; 0 where it was taken.
    #[must_use]
    pub fn returned(&self) -> Option<u32> {
        self.field("Envelope/Body/RequestPowerStateChange_OUTPUT", "ReturnValue")?.parse().ok()
    }

    /// The question that it answers.
    #[must_use]
    pub fn answers(&self) -> Option<u64> {
        self.field("Envelope/Header", "RelatesTo")?.parse().ok()
    }

    /// Why it does not answer the question, where that is what it says.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let fault = "Envelope/Body/Fault";
        self.0.iter().find(|leaf| leaf.path.starts_with(fault))?;
        let text = self.field(fault, "Text").filter(|text| !text.is_empty());
        let code = self.0.iter().rfind(|leaf| leaf.path.starts_with(fault) && leaf.name() == "Value");
        let text = text.or_else(|| code.map(|leaf| leaf.text.as_str()));
        Some(text.unwrap_or("no reason").to_owned())
    }
}

/// A document of SOAP around this text, as machines that are simulated answer; `class` is what the body has in it.
#[must_use]
pub fn answer((action, class): (&str, &str), relates: &str, fields: &[(&str, &str)]) -> String {
    let inside: String =
        fields.iter().map(|(name, text)| format!("<g:{name}>{}</g:{name}>", xml::quoted(text))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"{SOAP}\" xmlns:b=\"{ADDRESSING}\" \
         xmlns:g=\"{CIM}/{class}\"><a:Header><b:To>{ADDRESSING}/role/anonymous</b:To><b:RelatesTo>{}</b:RelatesTo>\
         <b:Action a:mustUnderstand=\"true\">{action}</b:Action></a:Header><a:Body><g:{class}>{inside}</g:{class}>\
         </a:Body></a:Envelope>",
        xml::quoted(relates)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an AMT 11 answers, from the pages of Intel's SDK.
    const STATE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><a:Envelope xmlns:g="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_AssociatedPowerManagementService" xmlns:a="http://www.w3.org/2003/05/soap-envelope" xmlns:b="http://schemas.xmlsoap.org/ws/2004/08/addressing"><a:Header><b:RelatesTo>7</b:RelatesTo></a:Header><a:Body><g:CIM_AssociatedPowerManagementService><g:AvailableRequestedPowerStates>8</g:AvailableRequestedPowerStates><g:PowerState>2</g:PowerState><g:ServiceProvided><b:Address>default</b:Address></g:ServiceProvided></g:CIM_AssociatedPowerManagementService></a:Body></a:Envelope>"#;
    const FAULT: &str = r#"<a:Envelope xmlns:a="http://www.w3.org/2003/05/soap-envelope"><a:Body><a:Fault><a:Code><a:Value>a:Sender</a:Value><a:Subcode><a:Value>b:DestinationUnreachable</a:Value></a:Subcode></a:Code><a:Reason><a:Text xml:lang="en-US">No route can be determined</a:Text></a:Reason></a:Fault></a:Body></a:Envelope>"#;

    #[test]
    fn an_answer_says_the_state_the_result_or_why_not() {
        let said = Said::read(STATE).unwrap();
        assert_eq!((said.power(), said.answers(), said.refusal()), (Some(Power::ON), Some(7), None));
        let said = Said::read(FAULT).unwrap();
        assert_eq!((said.power(), said.refusal().as_deref()), (None, Some("No route can be determined")));
        let silent = FAULT.replace("No route can be determined", "");
        assert_eq!(Said::read(&silent).unwrap().refusal().as_deref(), Some("b:DestinationUnreachable"));
        let class = "RequestPowerStateChange_OUTPUT";
        let said = Said::read(&answer(("x", class), "9", &[("ReturnValue", "2")])).unwrap();
        assert_eq!((said.returned(), said.answers(), said.power()), (Some(2), Some(9), None));
        assert_eq!(Said::read("<html><body/></html>"), Err(Fault::Foreign));
        assert_eq!(Said::read("Envelope"), Err(Fault::Short));
    }

    #[test]
    fn a_question_is_one_document_that_names_what_it_asks() {
        let leaf = |leaves: &[Leaf], name: &str| {
            leaves.iter().find(|leaf| leaf.name() == name).map(|leaf| leaf.text.clone()).unwrap_or_default()
        };
        let ask = xml::leaves(&ask_power(3)).unwrap();
        assert_eq!(leaf(&ask, "Action"), "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get");
        assert!(leaf(&ask, "ResourceURI").ends_with("/2/CIM_AssociatedPowerManagementService"));
        let order = xml::leaves(&order_power(4, Power::OFF)).unwrap();
        assert!(leaf(&order, "Action").ends_with("/CIM_PowerManagementService/RequestPowerStateChange"));
        assert_eq!((leaf(&order, "PowerState").as_str(), leaf(&order, "MessageID").as_str()), ("8", "4"));
        let selectors: Vec<&str> =
            order.iter().filter(|leaf| leaf.name() == "Selector").map(|leaf| leaf.text.as_str()).collect();
        assert_eq!(selectors, ["CIM_ComputerSystem", "ManagedSystem"]);
    }

    #[test]
    fn a_machine_that_sleeps_runs_and_one_that_hibernates_does_not() {
        let runs: Vec<_> = (1..=9).map(|number| Power(number).runs()).collect();
        let (on, off) = (Some(true), Some(false));
        assert_eq!(runs, [None, on, on, on, None, off, off, off, None]);
    }
}
