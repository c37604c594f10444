package integration

import (
	"io"
	"strings"

	"squidfleet/internal/must"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage/container"
)

// trySecrets sends hostile requests, and a secret in URLs of all spellings: nothing that may be a
// secret may get into the log or among Squid's messages, and no message may pass for a line of the
// log.
func trySecrets(s subject) {
	// Without a fleet's name there are no figures among the lines.
	s.options.Environment = []string{container.EnvMetricsEvery + "=100ms"}
	task := startTask(s.t, s.options.and(func(conf string) string { // no line is a refusal, so that each is written
		return strings.Replace(conf, `"result":"%00Ss"`, `"result":"-"`, 1)
	}))
	defer task.Kill()
	must.OK(s.t, client(task).SendHostile())
	targets := secretTargets()
	for i, target := range targets {
		method := []string{"GET ", "CONNECT ", "POST ", ""}[i%4]
		conn, err := client(task).Write(method + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		must.OK(s.t, err)
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	// Somebody with a password gets further: to an origin that talks nonsense, and with headers
	// that look like a loop.
	for _, headers := range [][]string{
		nil,
		{"Via: 1.1 proxy.invalid (squid/5.7), 1.1 proxy.invalid (squid)", "Cookie: " + rig.HostileSecret},
		{"Max-Forwards: 0"},
	} {
		for _, host := range []string{"garbage.example", "closing.example", "origin.example"} {
			url := "http://" + host + "/?" + rig.HostileSecret
			if _, err := client(task).Request("GET", url, headers...); err != nil {
				s.wrong("%v", err)
			}
		}
	}
	if marked(task) == 0 {
		s.wrong("the last request is not in the log")
	}
	lines := task.Log()
	if sent := len(rig.Hostile) + len(targets); len(lines) < sent {
		s.wrong("only %d lines for %d requests", len(lines), sent)
	}
	for _, line := range lines {
		if e, err := parse(line); err != nil || e.Egress != "-" {
			s.wrong("log: %v: %s", err, line)
		}
	}
	for line := range strings.Lines(task.Errors()) {
		if !strings.HasPrefix(line, "squid: ") && !strings.HasPrefix(line, "entrypoint: ") {
			s.wrong("a message of nobody's: %s", line)
		}
	}
	for _, line := range append(lines, task.Errors()) {
		for _, secret := range []string{rig.HostileSecret, password, "Digest username", rig.Basic("alice", password)} {
			if strings.Contains(line, secret) {
				s.wrong("%q in: %s", secret, line)
			}
		}
	}
}

// secretTargets are targets of requests with a secret as user information, query or fragment, in
// many spellings of what stands around it. A dollar sign stands for it here.
func secretTargets() (targets []string) {
	add := func(target string) {
		targets = append(targets, strings.ReplaceAll(target, "$", rig.HostileSecret))
	}
	for _, begin := range []string{"http://", "http:///", "http:/", "http:", "http;//", "http//",
		`http:\\`, `http:/\`, "HTTP://", "hTTp://", "https://", "ftp://", "foo://", "1x://", "urn:",
		"//", "/", `\\`, ":", "://", ""} {
		for _, user := range []string{"u:$@", "$@", "u%3A$%40", "u:$%40", "u:$@@", "@$@", "u:$@x@", "u:/$@",
			"u:\t$@", `u\$@`, "u?$@", "u#$@", "u;$@", "http://u:$@"} {
			for _, host := range []string{"origin.example", "10.9.8.7", "[::1]", "[::1", "a..b"} {
				add(begin + user + host + "/p")
			}
		}
		for _, host := range []string{"origin.example", "[::1]", "[::1", "a..b", "a%2eb", "a:80", "a:x", ""} {
			for _, path := range []string{"?", "#", "/?", "/#", "/p?", "/p#", "/p?#", "/p#?", "/p;?",
				"/\t?", "/\t#", `/\?`, "?/", "#/"} {
				add(begin + host + path + "$")
			}
		}
	}
	for _, target := range []string{
		"h:443?$", "h:443#$", "h:443/#$", "h:443/?$", "u:$@h:443", "$@h:443", "u:$@h",
		"h:443 u:$@h", "h?$:443", "h#$:443", "*?$", "*#$",
		// Cut by Squid in the middle.
		strings.Repeat("u", 5000) + ":$@h:443", "http://" + strings.Repeat("a", 4060) + "$@h/",
		"http://h/" + strings.Repeat("a", 4060) + "?$", "http://h/" + strings.Repeat("%", 1361) + "#$",
	} {
		add(target)
	}
	return targets
}
