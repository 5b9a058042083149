# The web: HTTP/1.1 to HTTP/3, TLS with and without names, WebSocket, gRPC, a browser.

# site: nginx on the servers' addresses, with TLS and without.
site() {
    needs nginx curl
    certificates www.youtube.com web.whatsapp.com chat.signal.org www.libon.com www.bilibili.com i0.hdslb.com \
        open.spotify.com discord.com
    mkdir www
    head -c 12000 /dev/zero | tr '\0' 'x' >www/file
    echo '<html><body><img src="/file"></body></html>' >www/index.html
    cp www/file www/favicon.ico
    local block
    block() {
        printf 'server { listen %s:443 ssl http2%s; listen %s:80%s; server_name %s; root %s/www; ssl_certificate %s/%s.pem; ssl_certificate_key %s/%s.key; %s }\n' \
            "$1" "$3" "$1" "$3" "$2" "$work" "$work" "$2" "$work" "$2" "${4:-}"
    }
    {
        echo "daemon off; pid $work/nginx.pid; error_log $work/nginx.log; user root; worker_processes 1; events {}"
        echo "http { access_log off; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5; ssl_protocols TLSv1.2 TLSv1.3;"
        block 203.0.113.10 www.youtube.com ' default_server' "${youtube_header:-}"
        block '[2001:db8:113::10]' www.youtube.com ' default_server' | if [ -n "${ipv6:-}" ]; then cat; else cat >/dev/null; fi
        block 203.0.113.11 web.whatsapp.com ' default_server'
        block 203.0.113.12 chat.signal.org ' default_server'
        block 203.0.113.12 www.libon.com ''
        block 203.0.113.13 www.bilibili.com ' default_server'
        block 203.0.113.13 i0.hdslb.com ''
        block 203.0.113.14 open.spotify.com ' default_server'
        block 203.0.113.15 discord.com ' default_server'
        printf 'server { listen 203.0.113.18:8080 http2; root %s/www; }\n' "$work"
        echo '}'
    } >nginx.conf
    start 1 server nginx -c "$work/nginx.conf" -p "$work"
}

get() { in_client curl -sS --cacert ca.pem -o /dev/null "$@"; }

record_http() {
    site
    http() { get http://www.youtube.com/file && get -r 0-99 http://web.whatsapp.com/file; }
    record '' http
    made_by 'curl nginx dnsmasq-base' '' 'DNS, HTTP/1.1, a range'
}

record_http_post() {
    site
    post() {
        # Two requests on one connection, the second with a body that waits for `100 Continue`.
        get http://open.spotify.com/ --next -sS -o /dev/null -H 'Expect: 100-continue' \
            --data-binary @www/file http://open.spotify.com/file
        in_client curl -sS -o /dev/null -I http://discord.com/file
        true
    }
    record '' post
    made_by 'curl nginx dnsmasq-base' '' 'HTTP/1.1: two requests on a connection, `100 Continue`, HEAD'
}

record_tls13() {
    site
    record '' get --http2 https://www.youtube.com/file
    made_by 'curl openssl nginx' '' 'TLS 1.3, HTTP/2'
}

record_tls12() {
    site
    tls12() {
        get --tls-max 1.2 --http1.1 https://web.whatsapp.com/file
        get --tls-max 1.2 --http2 https://open.spotify.com/
        # Without a name in its ClientHello; www.libon.com and chat.signal.org share their address.
        for address in 203.0.113.11 203.0.113.12; do
            printf 'GET / HTTP/1.0\r\n\r\n' | in_client timeout 5 openssl s_client -quiet -no_ign_eof -tls1_2 \
                -noservername -connect $address:443
        done
        true
    }
    record '' tls12
    made_by 'curl openssl nginx' '' 'TLS 1.2: names; no name, then the certificate'\''s'
}

# TLS 1.3 hides the certificate: what the client asked DNS for is all there is.
record_tls13_nameless() {
    site
    nameless() {
        in_client curl -sS -k -o /dev/null https://chat.signal.org/file
        in_client "$python" -c 'import socket, ssl; c = ssl.create_default_context(); c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("www.youtube.com", 443)))
s.sendall(b"GET /file HTTP/1.0\r\n\r\n")
while s.recv(4096): pass'
    }
    record '' nameless
    made_by 'curl nginx' 'python' 'TLS 1.3 without a name, after a DNS answer'
}

# Early data in a resumed session: the ClientHello is followed by records at once.
record_tls13_resumed() {
    site
    resumed() {
        (printf 'GET / HTTP/1.0\r\n\r\n'; sleep 1) | in_client openssl s_client -quiet -tls1_3 -sess_out session \
            -servername www.bilibili.com -connect 203.0.113.13:443
        (printf 'GET /file HTTP/1.0\r\n\r\n'; sleep 1) | in_client openssl s_client -quiet -tls1_3 -sess_in session \
            -servername i0.hdslb.com -connect 203.0.113.13:443
        true
    }
    record '' resumed
    made_by 'openssl nginx' '' 'TLS 1.3: a session, and its resumption'
}

record_dtls() {
    certificates chat.signal.org
    dtls() {
        start 0 server sh -c 'sleep 4 | timeout 4 openssl s_server -dtls1_2 -quiet -accept 203.0.113.12:4433 -cert chat.signal.org.pem -key chat.signal.org.key'
        local running=$!
        sleep 1
        (sleep 1; echo hello; sleep 1) | in_client timeout 3 openssl s_client -dtls1_2 -connect 203.0.113.12:4433 -servername chat.signal.org -quiet || true
        wait $running || true
    }
    record '' dtls
    made_by 'openssl' '' 'DTLS 1.2: cookie, certificate in fragments'
}

http3_server() {
    start 2 server "$python" "$here/http3.py" server "$@"
}

record_http3() {
    certificates www.youtube.com
    http3_server 203.0.113.10 443 www.youtube.com.pem www.youtube.com.key
    record '' in_client "$python" "$here/http3.py" client 203.0.113.10 443 www.youtube.com ca.pem
    made_by '' 'aioquic' 'QUIC version 1, HTTP/3'
}

record_ipv6() {
    with_ipv6
    ipv6=yes
    site
    http3_server 2001:db8:113::10 443 www.youtube.com.pem www.youtube.com.key
    over_ipv6() {
        local at='--resolve www.youtube.com:443:[2001:db8:113::10] --resolve www.youtube.com:80:[2001:db8:113::10]'
        get $at http://www.youtube.com/file
        get $at https://www.youtube.com/file
        in_client "$python" "$here/http3.py" client 2001:db8:113::10 443 www.youtube.com ca.pem
    }
    record '' over_ipv6
    made_by 'curl nginx' 'aioquic' 'HTTP, TLS and QUIC over IPv6'
}

# browse URL... [-- FLAG...]: each page in a browser of its own that has never been started.
browse() {
    local page flags=()
    for page in "$@"; do
        [ "${page#--}" = "$page" ] || flags+=("$page")
    done
    for page in "$@"; do
        [ "${page#--}" = "$page" ] || continue
        rm -rf "$work/chromium"
        in_client timeout 40 chromium --headless --no-sandbox --disable-gpu --ignore-certificate-errors \
            --user-data-dir="$work/chromium" --disable-background-networking --disable-component-update \
            --disable-sync --disable-default-apps --no-first-run --no-pings \
            --disable-features=OptimizationHints,MediaRouter --virtual-time-budget=3000 "${flags[@]}" --dump-dom "$page"
    done
}

record_chromium() {
    needs chromium
    site
    # Many questions to DNS are the browser's own; the first of each name are enough.
    record '' browse --disable-quic https://web.whatsapp.com/
    made_by 'chromium nginx' '' 'A ClientHello with a post-quantum key share over two segments; what a browser asks DNS for by itself'
}

record_chromium_pages() {
    needs chromium
    site
    echo '<html><body><img src="https://i0.hdslb.com/file"><img src="https://discord.com/file"></body></html>' >www/index.html
    record 'not port 53' browse --disable-quic https://www.bilibili.com/ http://open.spotify.com/
    made_by 'chromium nginx' '' 'A browser'\''s pages with pictures from other names: TLS, HTTP/2 and HTTP/1.1'
}

record_chromium_quic() {
    needs chromium
    certificates www.youtube.com
    http3_server 203.0.113.10 443 www.youtube.com.pem www.youtube.com.key
    local key
    # QUIC takes no certificate of an unknown authority but by its key.
    key=$(openssl x509 -in www.youtube.com.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
    record 'not port 53' browse --origin-to-force-quic-on=www.youtube.com:443 \
        --ignore-certificate-errors-spki-list="$key" https://www.youtube.com/
    made_by 'chromium' 'aioquic' 'A browser'\''s QUIC: a ClientHello over several Initial packets, its CRYPTO frames scrambled'
}

# The browser learns of HTTP/3 from Alt-Svc and moves to it.
record_chromium_alt_svc() {
    needs chromium
    youtube_header="keepalive_requests 2; add_header Alt-Svc 'h3=\":443\"; ma=3600';"
    site
    http3_server 203.0.113.10 443 www.youtube.com.pem www.youtube.com.key
    local key
    key=$(openssl x509 -in www.youtube.com.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
    printf '<html><body><script>let n = 0; setInterval(() => { if (n < 4) fetch("/file?" + n++) }, 500)</script></body></html>' >www/index.html
    record 'not port 53' browse --ignore-certificate-errors-spki-list="$key" --timeout=4000 https://www.youtube.com/
    made_by 'chromium nginx' 'aioquic' 'A browser that tries HTTP/3 beside HTTP/2 and is ended'
}

record_http2_plain() {
    site
    plain() {
        get --http2-prior-knowledge http://github.com:8080/file
        # Asked for by an upgrade, which nginx refuses.
        get --http2 http://open.spotify.com/
    }
    record '' plain
    made_by 'curl nginx' '' 'HTTP/2 in the clear: with prior knowledge, and asked for by an upgrade'
}

record_websocket() {
    certificates gateway.discord.gg
    start 1 server "$python" "$here/websocket.py" server 203.0.113.15 gateway.discord.gg.pem gateway.discord.gg.key
    record '' in_client "$python" "$here/websocket.py" client gateway.discord.gg ca.pem
    made_by '' 'websockets' 'WebSocket in the clear and over TLS'
}

record_grpc() {
    start 1 server "$python" "$here/grpc_echo.py" server 203.0.113.21:50051
    record '' in_client "$python" "$here/grpc_echo.py" client chat.lab.example:50051
    made_by '' 'grpcio' 'gRPC: HTTP/2 in the clear with prior knowledge'
}
