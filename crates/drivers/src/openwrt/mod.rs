//! OpenWrt devices: what switches and routers of it have in common.

pub(crate) mod ubus;
