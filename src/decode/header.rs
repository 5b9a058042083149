//! What a run of bytes can start with.

use crate::capture::LinkType;
use crate::wire::ethernet::EtherType;

use super::pseudowire::Reading;

/// What a run of bytes starts with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header {
    Ethernet,
    Type(EtherType),
    Llc,
    Mpls,
    Ppp,
    CiscoHdlc,
    Pppoe,
    Family,
    CookedV1,
    CookedV2,
    Ieee80211 {
        padded: bool,
        swapped: bool,
    },
    Radiotap,
    Prism,
    Ppi,
    Device(Device),
    /// IP of the version its first nibble says.
    Ip,
    V4,
    V6,
}

/// What a capture device, a capture library or a link other than Ethernet puts before a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Device {
    Nflog,
    Pflog,
    Pktap,
    /// A link type for private use, where Apple's tools wrote packet taps.
    PktapMaybe,
    Enc,
    Ipnet,
    Juniper(Carrier),
    Erf,
    Tzsp,
    /// An octet that says who sent the frame.
    Direction(Carrier),
    PppPppd,
    Slip,
    FrameRelay,
    SunAtm,
    /// What a frame of ATM adaptation layer 5 carries.
    Atm,
    Fddi,
    TokenRing,
    IpOverFibreChannel,
    IpOverIeee1394,
    Ipoib,
    Infiniband,
    Docsis,
    Netanalyzer,
    NetanalyzerTransparent,
    Mpacket,
    DsaBroadcom,
    DsaBroadcomPrepended,
    DsaMarvell,
    DsaMarvellTyped,
}

/// A link layer that comes under several headers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carrier {
    Ethernet,
    Ppp,
    CiscoHdlc,
    FrameRelay,
}

impl Header {
    /// The first header of frames of a link type.
    pub(super) const fn of(link: LinkType) -> Option<Self> {
        Some(match link {
            LinkType::ETHERNET => Self::Ethernet,
            LinkType::NULL | LinkType::LOOP => Self::Family,
            LinkType::PPP | LinkType::PPP_HDLC => Self::Ppp,
            LinkType::PPP_ETHER => Self::Pppoe,
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => Self::Ip,
            LinkType::IPV4 => Self::V4,
            LinkType::IPV6 => Self::V6,
            LinkType::C_HDLC => Self::CiscoHdlc,
            LinkType::MPLS => Self::Mpls,
            LinkType::IEEE802_11 => Self::IEEE80211,
            LinkType::IEEE802_11_RADIOTAP => Self::Radiotap,
            LinkType::IEEE802_11_PRISM | LinkType::IEEE802_11_AVS => Self::Prism,
            LinkType::PPI => Self::Ppi,
            LinkType::LINUX_SLL => Self::CookedV1,
            LinkType::LINUX_SLL2 => Self::CookedV2,
            _ => match Device::of(link) {
                Some(device) => Self::Device(device),
                None => return None,
            },
        })
    }

    /// The header that what was weighed starts with.
    pub(super) const fn read_as(reading: Reading) -> Self {
        match reading {
            Reading::V4 => Self::V4,
            Reading::V6 => Self::V6,
            Reading::Ethernet => Self::Ethernet,
        }
    }

    /// An IEEE 802.11 frame as the standard has it.
    pub(super) const IEEE80211: Self = Self::Ieee80211 {
        padded: false,
        swapped: false,
    };
}

impl Device {
    const fn of(link: LinkType) -> Option<Self> {
        Some(match link {
            LinkType::NFLOG => Self::Nflog,
            LinkType::PFLOG => Self::Pflog,
            LinkType::PKTAP => Self::Pktap,
            LinkType::USER2 => Self::PktapMaybe,
            LinkType::ENC => Self::Enc,
            LinkType::IPNET => Self::Ipnet,
            LinkType::JUNIPER_ETHER | LinkType::JUNIPER_PPPOE => Self::Juniper(Carrier::Ethernet),
            LinkType::JUNIPER_PPP => Self::Juniper(Carrier::Ppp),
            LinkType::JUNIPER_CHDLC => Self::Juniper(Carrier::CiscoHdlc),
            LinkType::JUNIPER_FRELAY => Self::Juniper(Carrier::FrameRelay),
            LinkType::ERF => Self::Erf,
            LinkType::TZSP => Self::Tzsp,
            LinkType::PPP_WITH_DIR => Self::Direction(Carrier::Ppp),
            LinkType::C_HDLC_WITH_DIR => Self::Direction(Carrier::CiscoHdlc),
            LinkType::FRELAY_WITH_DIR => Self::Direction(Carrier::FrameRelay),
            LinkType::PPP_PPPD => Self::PppPppd,
            LinkType::SLIP => Self::Slip,
            LinkType::FRELAY => Self::FrameRelay,
            LinkType::SUNATM => Self::SunAtm,
            LinkType::ATM_RFC1483 | LinkType::ATM_RFC1483_BSD | LinkType::ATM_CLIP => Self::Atm,
            LinkType::FDDI => Self::Fddi,
            LinkType::IEEE802_5 => Self::TokenRing,
            LinkType::IP_OVER_FC => Self::IpOverFibreChannel,
            LinkType::APPLE_IP_OVER_IEEE1394 => Self::IpOverIeee1394,
            LinkType::IPOIB => Self::Ipoib,
            LinkType::INFINIBAND => Self::Infiniband,
            LinkType::DOCSIS => Self::Docsis,
            LinkType::NETANALYZER => Self::Netanalyzer,
            LinkType::NETANALYZER_TRANSPARENT => Self::NetanalyzerTransparent,
            LinkType::ETHERNET_MPACKET => Self::Mpacket,
            LinkType::DSA_TAG_BRCM => Self::DsaBroadcom,
            LinkType::DSA_TAG_BRCM_PREPEND => Self::DsaBroadcomPrepended,
            LinkType::DSA_TAG_DSA => Self::DsaMarvell,
            LinkType::DSA_TAG_EDSA => Self::DsaMarvellTyped,
            _ => return None,
        })
    }
}

impl From<Carrier> for Header {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Ethernet => Self::Ethernet,
            Carrier::Ppp => Self::Ppp,
            Carrier::CiscoHdlc => Self::CiscoHdlc,
            Carrier::FrameRelay => Self::Device(Device::FrameRelay),
        }
    }
}
