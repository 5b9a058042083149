# What networks and servers run on: NTP, SNMP, RADIUS, LDAP, Kerberos, databases, DNS by other ways.

record_ntp() {
    needs chronyd
    printf 'local stratum 2\nallow\nbindaddress 203.0.113.23\ncmdport 0\npidfile %s/server.pid\ndriftfile %s/d1\n' "$work" "$work" >server.conf
    printf 'server 203.0.113.23 iburst\ncmdport 0\npidfile %s/client.pid\ndriftfile %s/d2\n' "$work" "$work" >client.conf
    # Neither touches the clock (-x).
    start 1 server chronyd -d -x -u root -f "$work/server.conf"
    record '' in_client timeout 12 chronyd -Q -x -u root -f "$work/client.conf" -t 10
    made_by 'chrony' '' 'NTP'
}

record_snmp() {
    needs snmpd snmpget
    printf 'rocommunity public\nagentaddress udp:203.0.113.23:161\ncreateUser reader SHA "a long secret" AES "a long secret"\nrouser reader\nsysName lab\nsysDescr lab\n' >snmpd.conf
    start 2 server env SNMP_PERSISTENT_DIR="$work/state" snmpd -f -Lo -C -c "$work/snmpd.conf" -p "$work/snmpd.pid"
    ask() {
        in_client snmpget -v 1 -c public 203.0.113.23 1.3.6.1.2.1.1.5.0
        in_client snmpbulkwalk -v 2c -c public 203.0.113.23 1.3.6.1.2.1.1
        in_client snmpget -v 3 -u reader -l authPriv -a SHA -A 'a long secret' -x AES -X 'a long secret' 203.0.113.23 1.3.6.1.2.1.1.5.0
    }
    record '' ask
    made_by 'snmpd snmp' '' 'SNMP: versions 1, 2c, and 3 with encryption'
}

record_radius() {
    needs freeradius radclient
    mkdir raddb
    cat >raddb/radiusd.conf <<END
name = freeradius
logdir = $work
run_dir = $work
pidfile = $work/radius.pid
libdir = /usr/lib/freeradius
client lab {
    ipaddr = 10.90.0.2
    secret = secret
}
modules {
    pap {
    }
    always ok {
        rcode = ok
    }
}
server lab {
    listen {
        type = auth
        ipaddr = 203.0.113.23
        port = 1812
    }
    listen {
        type = acct
        ipaddr = 203.0.113.23
        port = 1813
    }
    authorize {
        update control {
            Cleartext-Password := "secret"
        }
        pap
    }
    authenticate {
        pap
    }
    accounting {
        ok
    }
}
END
    start 2 server freeradius -f -l stdout -d "$work/raddb" -n radiusd
    log_in() {
        echo 'User-Name = alice, User-Password = secret, NAS-Port = 7' | in_client radclient 203.0.113.23:1812 auth secret
        echo 'User-Name = alice, Acct-Status-Type = Start, Acct-Session-Id = "1", NAS-Port = 7' | in_client radclient 203.0.113.23:1813 acct secret
    }
    record '' log_in
    made_by 'freeradius freeradius-utils' '' 'RADIUS: authentication and accounting'
}

record_ldap() {
    needs slapd ldapsearch
    certificates chat.lab.example
    mkdir db
    cat >slapd.conf <<END
include /etc/ldap/schema/core.schema
pidfile $work/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile $work/chat.lab.example.pem
TLSCertificateKeyFile $work/chat.lab.example.key
database mdb
suffix "dc=lab,dc=example"
rootdn "cn=admin,dc=lab,dc=example"
rootpw secret
directory $work/db
END
    start 2 server slapd -d 0 -f "$work/slapd.conf" -h 'ldap://203.0.113.21 ldaps://203.0.113.21'
    printf 'dn: dc=lab,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: lab\ndc: lab\n' >entry.ldif
    ask() {
        local admin='-x -D cn=admin,dc=lab,dc=example -w secret'
        in_client ldapadd $admin -H ldap://203.0.113.21 -f entry.ldif
        in_client ldapsearch -x -H ldap://203.0.113.21 -b dc=lab,dc=example
        in_client env LDAPTLS_REQCERT=never ldapsearch $admin -ZZ -H ldap://chat.lab.example -b dc=lab,dc=example
        in_client env LDAPTLS_REQCERT=never ldapsearch $admin -H ldaps://chat.lab.example -b dc=lab,dc=example
    }
    record 'not port 53' ask
    made_by 'slapd ldap-utils' '' 'LDAP: simple, with StartTLS, over TLS'
}

record_kerberos() {
    needs krb5kdc kinit
    cat >krb5.conf <<END
[libdefaults]
    default_realm = LAB.EXAMPLE
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
[realms]
    LAB.EXAMPLE = {
        kdc = 203.0.113.21
    }
END
    cat >kdc.conf <<END
[kdcdefaults]
    kdc_listen = 203.0.113.21:88
    kdc_tcp_listen = 203.0.113.21:88
[realms]
    LAB.EXAMPLE = {
        database_name = $work/principal
        key_stash_file = $work/stash
        acl_file = $work/acl
    }
END
    local settings="env KRB5_CONFIG=$work/krb5.conf KRB5_KDC_PROFILE=$work/kdc.conf KRB5CCNAME=$work/tickets"
    $settings kdb5_util create -s -P secret >/dev/null 2>&1
    $settings kadmin.local -q 'addprinc -pw secret alice' >/dev/null
    $settings kadmin.local -q 'addprinc -randkey host/chat.lab.example' >/dev/null
    start 2 server $settings krb5kdc -n
    log_in() {
        echo secret | in_client $settings kinit alice
        in_client $settings kvno host/chat.lab.example
        sed -i 's/^\[libdefaults\]/[libdefaults]\n    udp_preference_limit = 1/' krb5.conf
        echo secret | in_client $settings kinit alice
    }
    record '' log_in
    made_by 'krb5-kdc krb5-user' '' 'Kerberos: tickets over UDP and TCP'
}

record_redis() {
    needs redis-server redis-cli
    start 1 server redis-server --bind 203.0.113.21 --protected-mode no --save '' --dir "$work"
    ask() {
        in_client redis-cli -h 203.0.113.21 set greeting hello
        in_client redis-cli -h 203.0.113.21 get greeting
    }
    record '' ask
    made_by 'redis-server redis-tools' '' 'Redis: two short connections'
}

record_mysql() {
    needs mariadbd mysql
    mkdir db
    mariadb-install-db --no-defaults --user=root --datadir="$work/db" --auth-root-authentication-method=normal >/dev/null 2>&1
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=chat.lab.example -keyout my.key -out my.pem 2>/dev/null
    start 4 server mariadbd --no-defaults --user=root --datadir="$work/db" --socket="$work/my.sock" \
        --bind-address=203.0.113.21 --ssl-cert="$work/my.pem" --ssl-key="$work/my.key"
    in_server mysql --no-defaults -S "$work/my.sock" -e "create user 'alice'@'%' identified by 'secret'; grant all on *.* to 'alice'@'%'"
    ask() {
        in_client mysql --no-defaults -h 203.0.113.21 -u alice -psecret --skip-ssl -e 'select version(), 1 + 1; show databases'
        in_client mysql --no-defaults -h 203.0.113.21 -u alice -psecret --ssl -e 'select 1'
    }
    record '' ask
    made_by 'mariadb-server mariadb-client' '' 'MySQL protocol: in the clear, and with TLS from within'
}

record_postgres() {
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
    [ -n "$bin" ] || needs initdb
    needs psql
    mkdir db
    chown nobody "$work" db
    chmod a+rx "$work"
    setpriv --reuid=nobody --regid=nogroup --clear-groups "$bin/initdb" -D "$work/db" -U alice -A trust >/dev/null
    cp /dev/null root.crt
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=chat.lab.example \
        -keyout db/server.key -out db/server.crt 2>/dev/null
    chown nobody db/server.key db/server.crt
    echo 'host all all 10.90.0.2/32 trust' >>db/pg_hba.conf
    start 3 server setpriv --reuid=nobody --regid=nogroup --clear-groups "$bin/postgres" -D "$work/db" -k "$work" \
        -c listen_addresses=203.0.113.21 -c ssl=on
    ask() {
        in_client psql 'host=203.0.113.21 user=alice dbname=postgres sslmode=disable' -c 'select 1 + 1'
        in_client psql 'host=203.0.113.21 user=alice dbname=postgres sslmode=require' -c 'select 1 + 1'
    }
    record '' ask
    made_by "$(basename "$(dpkg-query -S "$bin/postgres" | cut -d: -f1)")" '' 'PostgreSQL: in the clear, and with TLS from within'
}

record_dns() {
    needs dig
    ask() {
        in_client dig +tries=1 @203.0.113.53 www.youtube.com A
        in_client dig +tries=1 +tcp @203.0.113.53 discord.com A
        in_client dig +tries=1 +dnssec @203.0.113.53 nowhere.example TXT
        in_client dig +tries=1 @203.0.113.53 www.bilibili.com HTTPS
        in_client dig +tries=1 @203.0.113.53 -x 203.0.113.10
    }
    record '' ask
    made_by 'bind9-dnsutils dnsmasq-base' '' 'DNS: questions of several types, over UDP and TCP'
}

record_dhcp() {
    needs udhcpc
    start 1 server dnsmasq --keep-in-foreground --port=0 --no-daemon --conf-file=/dev/null --user=root --interface=veth0 \
        --bind-interfaces --dhcp-range=10.90.0.50,10.90.0.60,1h --dhcp-leasefile="$work/leases" --no-ping
    record '' in_client timeout 8 udhcpc -i veth0 -q -n -s /bin/true -x hostname:lab
    made_by 'udhcpc dnsmasq-base' '' 'DHCP: discovery to acknowledgement'
}

record_tftp() {
    needs curl
    mkdir tftp
    head -c 3000 /dev/zero >tftp/file
    chmod -R a+rX "$work"
    start 1 server dnsmasq --keep-in-foreground --port=0 --no-daemon --conf-file=/dev/null --user=root --interface=lo \
        --listen-address=203.0.113.23 --bind-interfaces --enable-tftp --tftp-root="$work/tftp"
    record '' in_client curl -sS -o /dev/null tftp://203.0.113.23/file
    made_by 'curl dnsmasq-base' '' 'TFTP: a file'
}

record_syslog() {
    needs logger
    start 1 server socat -u UDP-RECV:514,bind=203.0.113.23 OPEN:/dev/null
    start 1 server socat -u TCP-LISTEN:514,bind=203.0.113.23,fork OPEN:/dev/null
    tell() {
        in_client logger -n 203.0.113.23 -P 514 -d --rfc5424 -t lab 'hello over UDP'
        in_client logger -n 203.0.113.23 -P 514 -d --rfc3164 -t lab 'hello again'
        in_client logger -n 203.0.113.23 -P 514 -T --rfc5424 -t lab 'hello over TCP'
    }
    record '' tell
    made_by 'bsdutils' '' 'Syslog over UDP and TCP'
}
