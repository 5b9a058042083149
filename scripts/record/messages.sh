# Messages and mail: MQTT, XMPP, IMAP, POP3, SMTP.

record_mqtt() {
    needs mosquitto mosquitto_sub
    certificates gateway.discord.gg
    cat >mosquitto.conf <<END
listener 1883 203.0.113.15
allow_anonymous true
listener 8883 203.0.113.15
certfile $work/gateway.discord.gg.pem
keyfile $work/gateway.discord.gg.key
allow_anonymous true
END
    chmod -R a+rX "$work"
    start 1 server mosquitto -c "$work/mosquitto.conf"
    queue() {
        start 1 client timeout 5 mosquitto_sub -h 203.0.113.15 -t 'room/#' -C 1 -i reader
        in_client mosquitto_pub -h 203.0.113.15 -t room/temperature -m 21.5 -i sensor -V mqttv5
        in_client mosquitto_pub -h gateway.discord.gg -p 8883 --cafile ca.pem -t room/temperature -m 22 -i sensor -q 1
        sleep 1
    }
    record '' queue
    made_by 'mosquitto mosquitto-clients' '' 'MQTT 3.1.1 and 5; MQTT over TLS to a name'
}

record_xmpp() {
    needs prosodyctl
    certificates chat.lab.example
    chmod -R a+rX "$work"
    mkdir data
    cat >prosody.cfg.lua <<END
data_path = "$work/data"
pidfile = "$work/prosody.pid"
run_as_root = true
daemonize = false
modules_enabled = { "roster", "saslauth", "tls", "disco", "register" }
modules_disabled = { "s2s" }
interfaces = { "203.0.113.21" }
allow_registration = true
authentication = "internal_hashed"
log = { info = "*console" }
VirtualHost "chat.lab.example"
  ssl = { key = "$work/chat.lab.example.key", certificate = "$work/chat.lab.example.pem" }
  c2s_require_encryption = false
  allow_unencrypted_plain_auth = true
END
    start 2 server prosody --config "$work/prosody.cfg.lua" -F
    in_server prosodyctl --config "$work/prosody.cfg.lua" register alice chat.lab.example secret >/dev/null
    in_server prosodyctl --config "$work/prosody.cfg.lua" register bob chat.lab.example secret >/dev/null
    chat() {
        in_client "$python" "$here/xmpp.py" alice@chat.lab.example bob@chat.lab.example starttls
        in_client "$python" "$here/xmpp.py" bob@chat.lab.example alice@chat.lab.example plain
    }
    record '' chat
    made_by 'prosody' 'slixmpp' 'XMPP: with STARTTLS, and in the clear'
}

record_mail() {
    needs dovecot
    certificates imap.gmail.com smtp.gmail.com
    mkdir -p mail/cur mail/new mail/tmp
    printf 'From: a@lab.example\nTo: b@lab.example\nSubject: hello\n\nHello.\n' >mail/new/1.lab
    chown -R mail:mail mail
    chmod -R a+rX "$work"
    cat >dovecot.conf <<END
base_dir = $work/run
state_dir = $work/state
protocols = imap pop3
listen = 203.0.113.17
ssl = yes
ssl_cert = <$work/imap.gmail.com.pem
ssl_key = <$work/imap.gmail.com.key
disable_plaintext_auth = no
mail_location = maildir:$work/mail
log_path = $work/dovecot.log
first_valid_uid = 1
default_internal_user = root
default_internal_group = root
default_login_user = mail
service anvil { 
  chroot =
}
service imap-login {
  chroot =
}
service pop3-login {
  chroot =
}
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=mail gid=mail home=$work/mail
}
END
    start 2 server dovecot -F -c "$work/dovecot.conf"
    start 1 server "$python" "$here/smtp_server.py" 203.0.113.17 smtp.gmail.com.pem smtp.gmail.com.key
    printf 'From: a@lab.example\r\nTo: b@lab.example\r\nSubject: hello\r\n\r\nHello.\r\n' >letter
    local mail=(--cacert ca.pem -sS -o /dev/null --user b:secret)
    mail() {
        in_client curl "${mail[@]}" --url imap://imap.gmail.com/INBOX -X 'FETCH 1 BODY[TEXT]'
        in_client curl "${mail[@]}" --url imap://imap.gmail.com/INBOX --ssl-reqd
        in_client curl "${mail[@]}" --url imaps://imap.gmail.com/INBOX
        in_client curl "${mail[@]}" --url pop3://imap.gmail.com/1
        in_client curl "${mail[@]}" --url pop3://imap.gmail.com/1 --ssl-reqd
        in_client curl -sS --url smtp://smtp.gmail.com:25 --mail-from a@lab.example --mail-rcpt b@lab.example -T letter
        in_client curl -sS --cacert ca.pem --ssl-reqd --url smtp://smtp.gmail.com:587 --mail-from a@lab.example --mail-rcpt b@lab.example -T letter
    }
    record '' mail
    made_by 'dovecot-core curl' 'aiosmtpd' 'IMAP, POP3 and SMTP, in the clear and with STARTTLS; IMAP over TLS'
}
