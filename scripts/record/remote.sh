# Other machines: SSH, FTP, SMB, RTSP, RDP, SOCKS.

shell_server() {
    needs ssh
    ssh-keygen -q -t ed25519 -N '' -f host
    ssh-keygen -q -t ed25519 -N '' -f user
    printf 'HostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\nListenAddress %s\nSubsystem sftp internal-sftp\nUsePAM no\n' \
        "$work" "$work" "$1" >sshd.conf
    mkdir -p /run/sshd
    start 1 server "$(command -v sshd)" -D -f "$work/sshd.conf"
}

ssh_options='-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i user'

record_ssh() {
    shell_server 203.0.113.18
    head -c 20000 /dev/urandom >file
    shell() {
        in_client ssh $ssh_options root@github.com 'head -c 5000 /dev/zero'
        in_client sftp $ssh_options -b /dev/stdin root@203.0.113.18 <<<"put file $work/copy"
    }
    record '' shell
    made_by 'openssh-client openssh-server' '' 'SSH with a post-quantum key exchange; a transfer by SFTP'
}

record_socks() {
    needs microsocks
    site
    shell_server 203.0.113.18
    start 1 server microsocks -i 203.0.113.23 -p 1080
    through() {
        in_client curl -sS --cacert ca.pem -o /dev/null --socks5-hostname 203.0.113.23:1080 https://web.whatsapp.com/
        in_client curl -sS -o /dev/null --socks5 203.0.113.23:1080 http://open.spotify.com/
        # OpenSSH as a proxy: what it carries is inside its connection.
        start 2 client ssh $ssh_options -N -D 127.0.0.1:1080 root@203.0.113.18
        in_client curl -sS -k -o /dev/null --socks5-hostname 127.0.0.1:1080 https://www.youtube.com/
    }
    record 'not port 53' through
    made_by 'microsocks curl openssh-client' '' 'SOCKS 5 to a name and to an address; a proxy inside SSH'
}

record_ftp() {
    needs vsftpd
    mkdir -p ftp empty
    head -c 20000 /dev/urandom >ftp/file
    chmod -R a+rX "$work"
    printf 'listen=YES\nlisten_address=203.0.113.18\nanonymous_enable=YES\nanon_root=%s/ftp\nbackground=NO\nsecure_chroot_dir=%s/empty\nseccomp_sandbox=NO\npasv_min_port=40000\npasv_max_port=40010\nport_enable=YES\nconnect_from_port_20=NO\nno_anon_password=YES\n' \
        "$work" "$work" >vsftpd.conf
    chown root vsftpd.conf
    start 1 server "$(command -v vsftpd)" "$work/vsftpd.conf"
    files() {
        in_client curl -sS -o /dev/null ftp://203.0.113.18/file
        # The server calls back.
        in_client curl -sS -o /dev/null --ftp-port - ftp://203.0.113.18/
    }
    record '' files
    made_by 'vsftpd curl' '' 'FTP: a file in passive mode, a listing in active mode; the data connections are not named'
}

record_smb() {
    needs smbd smbclient
    mkdir -p share private run
    head -c 20000 /dev/urandom >share/file
    chmod -R a+rwX "$work"
    cat >smb.conf <<END
[global]
    interfaces = 203.0.113.18/32
    bind interfaces only = yes
    netbios name = LAB
    workgroup = LAB
    map to guest = Bad User
    server min protocol = NT1
    smb ports = 445 139
    private dir = $work/private
    lock directory = $work/run
    state directory = $work/run
    cache directory = $work/run
    pid directory = $work/run
    ncalrpc dir = $work/run/ncalrpc
    log file = $work/smb.log
    disable spoolss = yes
[share]
    path = $work/share
    guest ok = yes
    read only = no
END
    start 3 server smbd -F --no-process-group -s "$work/smb.conf"
    share() {
        in_client smbclient //203.0.113.18/share -s "$work/smb.conf" -N -c "get file $work/copy"
        in_client smbclient //203.0.113.18/share -s "$work/smb.conf" -N -p 139 -m NT1 \
            --option='client min protocol=NT1' -c ls || true
    }
    record '' share
    made_by 'samba smbclient' '' 'SMB 3 on port 445, SMB 1 over NetBIOS on port 139'
}

record_rtsp() {
    needs ffmpeg
    start 3 server /usr/bin/python3 "$here/rtsp_server.py" 10.90.0.1 8554
    stream() {
        in_client timeout 3 ffmpeg -nostdin -loglevel error -rtsp_transport udp -i rtsp://10.90.0.1:8554/camera -t 1 -f null -
        in_client timeout 3 ffmpeg -nostdin -loglevel error -rtsp_transport tcp -i rtsp://10.90.0.1:8554/camera -t 1 -f null -
        true
    }
    record '' stream
    made_by 'ffmpeg libgstrtspserver-1.0-0' '' 'RTSP: media beside it over UDP (RTP, RTCP), and inside its connection; a flow of one empty receiver report is not named'
}

record_rdp() {
    needs xrdp xfreerdp
    certificates chat.lab.example
    sed "s#^port=3389#port=tcp://203.0.113.23:3389#; s#^certificate=.*#certificate=$work/chat.lab.example.pem#; s#^key_file=.*#key_file=$work/chat.lab.example.key#" \
        /etc/xrdp/xrdp.ini >xrdp.ini
    start 2 server xrdp --nodaemon --config "$work/xrdp.ini"
    desktop() {
        in_client timeout 6 xvfb-run -a xfreerdp /v:203.0.113.23 /u:alice /p:secret /cert:ignore /size:320x240 /bpp:16 || true
        in_client timeout 6 xvfb-run -a xfreerdp /v:203.0.113.23 /u:alice /p:secret /sec:rdp /cert:ignore /size:320x240 /bpp:16 || true
    }
    record '' desktop
    made_by 'xrdp freerdp2-x11' '' 'RDP: with TLS, and with security of its own'
}
