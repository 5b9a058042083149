# Calls: WebRTC with and without a relay, SIP with media.

record_webrtc() {
    start 1 peer "$python" "$here/webrtc.py" answer 10.91.0.2 5
    record 'udp' in_client "$python" "$here/webrtc.py" offer 10.91.0.2 5
    made_by '' 'aiortc' 'WebRTC without a relay: ICE, DTLS, SRTP and SCTP on one port'
}

# relay: coturn, which wants a name and a password.
relay() {
    needs turnserver
    start 2 server turnserver -n --listening-ip=203.0.113.22 --relay-ip=203.0.113.22 --realm=turn.lab.example \
        --user=caller:secret --lt-cred-mech --no-tls --no-dtls --no-cli --min-port=50000 --max-port=50100 \
        --pidfile="$work/turn.pid" --log-file=stdout --userdb="$work/turn.db"
    # Client and peer do not reach each other, so that the call goes through the relay.
    ip -n $server rule add iif veth0 to 10.91.0.2 ipproto udp prohibit
    ip -n $server rule add iif veth1 to 10.90.0.2 ipproto udp prohibit
}

record_webrtc_turn() {
    relay
    start 1 peer "$python" "$here/webrtc.py" answer 10.91.0.2 5
    record 'port 3478' in_client "$python" "$here/webrtc.py" offer 10.91.0.2 5 turn:turn.lab.example:3478 caller secret
    made_by 'coturn' 'aiortc' 'WebRTC through a relay: TURN, DTLS and SRTP in ChannelData'
}

record_turn_tcp() {
    relay
    start 1 peer "$python" "$here/webrtc.py" answer 10.91.0.2 3
    record 'port 3478' in_client "$python" "$here/webrtc.py" offer 10.91.0.2 3 'turn:turn.lab.example:3478?transport=tcp' caller secret
    made_by 'coturn' 'aiortc' 'WebRTC through a relay over TCP'
}

# A call between two telephones: REGISTER at a registrar of sipp, INVITE, RTP both ways, BYE.
record_sip() {
    needs sipp
    # sipp replays the media of a capture it is given: here an RTP stream of our own.
    "$python" "$here/rtp_stream.py" media.pcap 8 60
    cp "$here"/sip-uac.xml "$here"/sip-register.xml "$here"/sip-uas.xml .
    sed -i "s#MEDIA#$work/media.pcap#" sip-uac.xml sip-uas.xml
    start 1 server sipp -sf sip-uas.xml -i 203.0.113.21 -p 5060 -mi 203.0.113.21 -mp 30000 -nostdin
    call() {
        in_client sipp -sf sip-register.xml -i 10.90.0.2 -p 5060 -m 1 -nostdin -s alice 203.0.113.21:5060
        in_client sipp -sf sip-uac.xml -i 10.90.0.2 -p 5060 -mi 10.90.0.2 -mp 20000 -m 1 -nostdin -s bob 203.0.113.21:5060
    }
    record 'udp' call
    made_by 'sip-tester' '' 'SIP: registration, a call, its RTP both ways'
}

# baresip on both ends: its own user agent, RTP and RTCP of its own making.
telephone() {
    mkdir "$1"
    cat >"$1/config" <<END
sip_listen $2:5060
audio_path /usr/share/baresip
audio_player aufile,$work/$1/heard.wav
audio_source aufile,$work/sound.wav
audio_alert aufile,$work/$1/alert.wav
audio_channels 1
ausrc_channels 1
rtp_ports 10000-10020
rtcp_mux no
net_interface veth0
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module_app account.so
module_app menu.so
END
    echo "<sip:$3@$2>;regint=0${4:+;$4}" >"$1/accounts"
    : >"$1/contacts"
}

record_sip_baresip() {
    needs baresip
    "$python" -c 'import math, struct, wave
w = wave.open("sound.wav", "wb"); w.setparams((1, 2, 8000, 0, "NONE", None))
w.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(n / 3))) for n in range(160000)))'
    telephone alice 10.90.0.2 alice
    telephone bob 10.91.0.2 bob 'answermode=auto'
    start 2 peer baresip -f "$work/bob"
    record udp in_client timeout 12 baresip -f "$work/alice" -e 'd sip:bob@10.91.0.2' -t 4
    made_by 'baresip-core' '' 'SIP from telephone to telephone, RTP (G.711) and RTCP on two ports'
}
