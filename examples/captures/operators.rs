//! The messaging systems of China's operators (Fetion, Feiliao, Yiliao, Wo Liao, And-Fetion, Yixin)
//! and their nearest neighbours. The formats are those that public clients of them write.

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data};
use crate::web::{answer, request};

pub const CAPTURES: &[Capture] = &[
    (
        "fetion-sipc",
        "Fetion: SIP-C, system configuration, the HTTP tunnel",
        fetion,
    ),
    (
        "cmcc-cloud",
        "Neighbour of Fetion: China Mobile's cloud drive below Fetion's domain",
        cmcc_cloud,
    ),
    (
        "feiliao-http",
        "Feiliao by its domain, and Flipchat, which shares it",
        feiliao,
    ),
    ("yiliao-web", "Yiliao: web client and portal", yiliao),
    (
        "yiliao-neighbour",
        "Neighbour of Yiliao: China Telecom's customer service",
        yiliao_neighbour,
    ),
    (
        "woliao-xmpp",
        "Wo Liao: XMPP of im.wo.com.cn in the clear",
        woliao,
    ),
    (
        "woliao-neighbour",
        "Neighbour of Wo Liao: China Unicom's portal",
        woliao_neighbour,
    ),
    (
        "andfetion-rcs",
        "And-Fetion: SIP, MSRP and file transfer below rcs.chinamobile.com",
        andfetion,
    ),
    (
        "rcs-jibe",
        "Neighbour of And-Fetion: RCS of another operator (configuration, SIP with RCS tags, MSRP)",
        rcs,
    ),
    ("yixin-login", "Yixin: login frame, HTTP", yixin),
    (
        "netease-im",
        "Neighbour of Yixin: the link layer of NetEase's messaging service, by name",
        netease_im,
    ),
];

fn fetion(trace: &mut Trace) {
    let config = br#"<config><user mobile-no="13900000000" /><client type="PC" version="4.9.0920" platform="W5.1" /></config>"#;
    let headers = [
        ("User-Agent", "IIC2.0/PC 4.9.0920"),
        ("Host", "nav.fetion.com.cn"),
    ];
    trace
        .tcp("10.13.0.5:1900", "203.0.113.50:80")
        .open()
        .client(request(
            "POST",
            "/nav/getsystemconfig.aspx",
            &headers,
            config,
        ))
        .server(answer(
            "200 OK",
            &[("Content-Type", "text/xml")],
            b"<?xml version=\"1.0\"?><config/>",
        ))
        .close()
        .is("http", "fetion", "login");
    let register = "R fetion.com.cn SIP-C/4.0\r\nF: 685592830\r\nI: 1\r\nQ: 1 R\r\nCN: 1CF1A05B2DD0281755997ADC70F82B16\r\nCL: type=\"pc\" ,version=\"4.9.0920\"\r\n\r\n";
    let denied = "SIP-C/4.0 401 Unauthoried\r\nF: 685592830\r\nI: 1\r\nQ: 1 R\r\nW: Digest algorithm=\"SHA1-sess-v4\",nonce=\"1B2A3C4D5E6F708192A3B4C5D6E7F809\"\r\n\r\n";
    let presence = "BN 685592830 SIP-C/4.0\r\nN: PresenceV4\r\nI: 2\r\nQ: 1 BN\r\nL: 61\r\n\r\n<events><event type=\"PresenceChanged\"><contacts/></event></events>";
    trace
        .tcp("10.13.0.5:1901", "203.0.113.51:8080")
        .open()
        .client(register)
        .server(denied)
        .server(presence)
        .close()
        .is("sip-c", "fetion", "chat");
    // Peer to peer message, met in the middle.
    trace
        .tcp("10.13.0.5:1902", "203.0.113.51:443")
        .client("M 685592831 SIP-C/4.0\r\nF: 685592830\r\nI: 7\r\nQ: 1 M\r\nT: sip:685592831@fetion.com.cn;p=3344\r\nC: text/plain\r\nL: 5\r\n\r\nhello")
        .server("SIP-C/4.0 280 Send SMS OK\r\nF: 685592830\r\nI: 7\r\nQ: 1 M\r\n\r\n")
        .is("sip-c", "fetion", "chat");
    let headers = [
        ("User-Agent", "IIC2.0/PC 4.9.0920"),
        ("Host", "203.0.113.52"),
        ("Content-Type", "application/oct-stream"),
    ];
    trace
        .tcp("10.13.0.5:1903", "203.0.113.52:80")
        .open()
        .client(request("POST", "/ht/sd.aspx?t=i&i=1", &headers, b"SIPP"))
        .server(answer("200 OK", &[], b"SIPP"))
        .close()
        .is("sip-c", "fetion", "chat");
}

fn cmcc_cloud(trace: &mut Trace) {
    for (port, name) in [(2000, "caiyun.feixin.10086.cn"), (2001, "yun.139.com")] {
        let hello = client_hello(trace, Some(name), &["http/1.1"]);
        let (server, data) = (server_hello(trace), tls_data(trace, 900));
        trace
            .tcp(&format!("10.13.0.6:{port}"), "203.0.113.53:443")
            .open()
            .client(hello)
            .server(server)
            .server(data)
            .close()
            .is("tls", "cmcc-cloud", "-");
    }
    let headers = [
        ("Host", "caiyun.feixin.10086.cn:7070"),
        ("User-Agent", "okhttp/3.11.0"),
    ];
    trace
        .tcp("10.13.0.6:2002", "203.0.113.53:7070")
        .open()
        .client(request(
            "POST",
            "/richlifeApp/devapp/ICatalog",
            &headers,
            b"<getDisk/>",
        ))
        .server(answer("200 OK", &[], b"<result resultCode=\"0\"/>"))
        .close()
        .is("http", "cmcc-cloud", "-");
}

fn feiliao(trace: &mut Trace) {
    let get = |host| {
        request(
            "GET",
            "/",
            &[("Host", host), ("User-Agent", "Feiliao")],
            b"",
        )
    };
    trace
        .tcp("10.13.0.7:2100", "203.0.113.54:80")
        .open()
        .client(get("www.feiliao.com"))
        .server(answer("200 OK", &[], b"<html></html>"))
        .close()
        .is("http", "feiliao", "-");
    let hello = client_hello(trace, Some("api.feiliao.com"), &["h2"]);
    let (server, data) = (server_hello(trace), tls_data(trace, 400));
    trace
        .tcp("10.13.0.7:2101", "203.0.113.55:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "flipchat", "-");
}

fn yiliao(trace: &mut Trace) {
    let headers = [("Host", "203.0.113.60:6090"), ("User-Agent", "Mozilla/5.0")];
    let form = b"phone=18900000000";
    trace
        .tcp("10.14.0.5:3000", "203.0.113.60:6090")
        .open()
        .client(request("POST", "/imweb/phoneCheckCode.s", &headers, form))
        .server(answer(
            "200 OK",
            &[("Content-Type", "application/json")],
            b"{\"result\":0}",
        ))
        .close()
        .is("http", "yiliao", "chat");
    let headers = [("Host", "liao.189.cn"), ("User-Agent", "Mozilla/5.0")];
    trace
        .tcp("10.14.0.5:3001", "203.0.113.61:80")
        .open()
        .client(request("GET", "/ECP-Portals/index.html", &headers, b""))
        .server(answer("200 OK", &[], b"<html></html>"))
        .close()
        .is("http", "yiliao", "-");
}

fn yiliao_neighbour(trace: &mut Trace) {
    let hello = client_hello_tls12(trace, Some("im.189.cn"), &[]);
    let (server, data) = (server_hello(trace), tls_data(trace, 400));
    trace
        .tcp("10.14.0.6:3100", "203.0.113.62:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "ct-customer-im", "-");
    // The same path elsewhere, another script: nobody's.
    let headers = [
        ("Host", "www.example.com:6090"),
        ("User-Agent", "Mozilla/5.0"),
    ];
    trace
        .tcp("10.14.0.6:3101", "203.0.113.63:6090")
        .open()
        .client(request("GET", "/imweb/index.html", &headers, b""))
        .server(answer("404 Not Found", &[], b""))
        .close()
        .is("http", "-", "-");
}

fn woliao(trace: &mut Trace) {
    let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.wo.com.cn' version='1.0'>";
    let reply = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='im.wo.com.cn' id='c2s1' version='1.0'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>DIGEST-MD5</mechanism></mechanisms></stream:features>";
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>woclient</resource></bind></iq>";
    let message = "<message from='18600000000@im.wo.com.cn/woclient' to='18600000001@im.wo.com.cn' type='chat'><body>hello</body></message>";
    trace
        .tcp("10.15.0.5:3200", "203.0.113.70:5222")
        .open()
        .client(header)
        .server(reply)
        .client(bind)
        .client(message)
        .close()
        .is("xmpp", "woliao", "chat");
}

fn woliao_neighbour(trace: &mut Trace) {
    let hello = client_hello(trace, Some("www.wo.com.cn"), &["h2", "http/1.1"]);
    let (server, data) = (server_hello(trace), tls_data(trace, 800));
    trace
        .tcp("10.15.0.6:3300", "203.0.113.71:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "wo-cloud", "-");
}

/// A SIP request (RFC 3261 section 7.1).
fn sip(line: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!(
        "{line} SIP/2.0\r\nVia: SIP/2.0/TCP 10.13.0.8:5060;branch=z9hG4bK74bf9\r\nMax-Forwards: 70\r\n"
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "CSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
}

/// An MSRP message (RFC 4975 section 7) to a peer below `domain`.
fn msrp(domain: &str) -> String {
    format!(
        "MSRP d93kswow SEND\r\nTo-Path: msrp://as1.pa.{domain}:9091/8asd;tcp\r\nFrom-Path: msrp://10.13.0.8:2855/9di4;tcp\r\nMessage-ID: 12339sdqwer\r\nByte-Range: 1-16/16\r\nContent-Type: text/plain\r\n\r\nHi, I'm Alice!\r\n\r\n-------d93kswow$\r\n"
    )
}

fn andfetion(trace: &mut Trace) {
    let register = sip(
        "REGISTER sip:gd.rcs.chinamobile.com",
        &[
            (
                "From",
                "<sip:+8613900000000@gd.rcs.chinamobile.com>;tag=a73kszlfl",
            ),
            ("To", "<sip:+8613900000000@gd.rcs.chinamobile.com>"),
            ("Call-ID", "1j9FpLxk3uxtm8tn@10.13.0.8"),
            (
                "Contact",
                "<sip:+8613900000000@10.13.0.8:5060;transport=tcp>;+g.3gpp.iari-ref=\"urn%3Aurn-7%3A3gpp-application.ims.iari.rcse.im\"",
            ),
        ],
    );
    let ok = "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 10.13.0.8:5060;branch=z9hG4bK74bf9\r\nFrom: <sip:+8613900000000@gd.rcs.chinamobile.com>;tag=a73kszlfl\r\nTo: <sip:+8613900000000@gd.rcs.chinamobile.com>;tag=1\r\nCall-ID: 1j9FpLxk3uxtm8tn@10.13.0.8\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n";
    trace
        .tcp("10.13.0.8:5060", "203.0.113.56:5060")
        .open()
        .client(register)
        .server(ok)
        .is("sip", "andfetion", "chat");
    trace
        .tcp("10.13.0.8:2855", "203.0.113.57:9091")
        .open()
        .client(msrp("rcs.chinamobile.com"))
        .server("MSRP d93kswow 200 OK\r\nTo-Path: msrp://10.13.0.8:2855/9di4;tcp\r\nFrom-Path: msrp://as1.pa.rcs.chinamobile.com:9091/8asd;tcp\r\n-------d93kswow$\r\n")
        .is("msrp", "andfetion", "file");
    let headers = [
        ("Host", "http01.hn.rcs.chinamobile.com:9091"),
        ("User-Agent", "okhttp/3.11.0"),
    ];
    let image = trace.noise(600);
    trace
        .tcp("10.13.0.8:40300", "203.0.113.58:9091")
        .open()
        .client(request("POST", "/Access/PF", &headers, &image))
        .server(answer("200 OK", &[], b""))
        .close()
        .is("http", "andfetion", "file");
}

fn rcs(trace: &mut Trace) {
    let hello = client_hello(
        trace,
        Some("config.rcs.mnc001.mcc001.pub.3gppnetwork.org"),
        &["http/1.1"],
    );
    let (server, data) = (server_hello(trace), tls_data(trace, 300));
    trace
        .tcp("10.16.0.5:40400", "203.0.113.72:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "rcs", "login");
    let register = sip(
        "REGISTER sip:ims.example.com",
        &[
            ("From", "<sip:+1555000@ims.example.com>;tag=a73kszlfl"),
            ("To", "<sip:+1555000@ims.example.com>"),
            ("Call-ID", "2j9FpLxk3uxtm8tn@10.16.0.5"),
            (
                "Contact",
                "<sip:+1555000@10.16.0.5:5060>;+g.3gpp.iari-ref=\"urn%3Aurn-7%3A3gpp-application.ims.iari.rcse.im\"",
            ),
        ],
    );
    trace
        .tcp("10.16.0.5:40401", "203.0.113.73:5060")
        .open()
        .client(register)
        .server("SIP/2.0 401 Unauthorized\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n")
        .is("sip", "rcs", "chat");
    trace
        .tcp("10.16.0.5:40402", "203.0.113.74:7654")
        .open()
        .client(msrp("ims.mnc001.mcc001.3gppnetwork.org"))
        .is("msrp", "rcs", "file");
}

fn yixin(trace: &mut Trace) {
    // Length in groups of seven bits (659), service 50, command 0a, serial, tag, zeros, sealed.
    let sealed = trace.noise(640);
    let login = join([
        &[0x93, 0x05, 0x50, 0x0a, 0x00, 0x00, 0x0d, 0xc8][..],
        &[0; 13],
        &sealed,
    ]);
    let reply = join([&[0x2c, 0x50, 0x0a, 0x00, 0x00, 0x00][..], &trace.noise(39)]);
    trace
        .tcp("10.17.0.5:3400", "203.0.113.80:8080")
        .open()
        .client(login)
        .server(reply)
        .close()
        .is("netease-link", "yixin", "login");
    let headers = [
        ("Host", "203.0.113.81"),
        ("User-Agent", "NETEASE-YIXIN 4.2.0"),
        ("YX-PN", "yxmc"),
    ];
    trace
        .tcp("10.17.0.5:3401", "203.0.113.81:80")
        .open()
        .client(request("GET", "/api/config", &headers, b""))
        .server(answer("200 OK", &[], b"{}"))
        .close()
        .is("http", "yixin", "-");
    let hello = client_hello(trace, Some("nos.yixin.im"), &["http/1.1"]);
    let (server, data) = (server_hello(trace), tls_data(trace, 500));
    trace
        .tcp("10.17.0.5:3402", "203.0.113.81:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "yixin", "-");
}

fn netease_im(trace: &mut Trace) {
    // The link layer alone (service 2, command 2) belongs to every customer: it names nobody.
    let login = join([
        &[0x93, 0x05, 0x02, 0x02, 0x00, 0x01, 0x00][..],
        &trace.noise(654),
    ]);
    let reply = join([&[0x2c, 0x02, 0x02, 0x00, 0x01, 0x00][..], &trace.noise(39)]);
    trace
        .tcp("10.17.0.6:3500", "203.0.113.83:8080")
        .open()
        .client(login)
        .server(reply)
        .close()
        .is("-", "-", "-");
    let hello = client_hello(trace, Some("weblink.netease.im"), &["http/1.1"]);
    let (server, data) = (server_hello(trace), tls_data(trace, 500));
    trace
        .tcp("10.17.0.6:3501", "203.0.113.82:443")
        .open()
        .client(hello)
        .server(server)
        .server(data)
        .close()
        .is("tls", "netease-im", "chat");
}
