package settings

import (
	"fmt"
	"slices"
	"strings"
)

// gunicornFlags lists the settings of a gunicorn.conf.py, each with its flag if that has another name. gunicorn ignores
// all other names, which the file may use for its own purposes.
const gunicornFlags = `bind backlog workers worker_class threads worker_connections max_requests max_requests_jitter
	timeout graceful_timeout keepalive=keep-alive limit_request_line limit_request_fields limit_request_field_size
	reload reload_engine reload_extra_files=reload-extra-file spew preload_app=preload reuse_port chdir daemon
	raw_env=env pidfile=pid worker_tmp_dir user group umask initgroups tmp_upload_dir secure_scheme_headers
	forwarded_allow_ips accesslog=access-log access_log_format errorlog=error-log loglevel=log-level capture_output
	logger_class logconfig=log-config logconfig_dict=log-config logconfig_json=log-config-json syslog_addr=log-syslog-to
	syslog=log-syslog syslog_prefix=log-syslog-prefix syslog_facility=log-syslog-facility
	disable_redirect_access_to_syslog enable_stdio_inheritance statsd_host dogstatsd_tags statsd_prefix proc_name=name
	pythonpath paste proxy_protocol proxy_allow_ips=proxy-allow-from keyfile certfile ssl_version cert_reqs ca_certs
	suppress_ragged_eofs do_handshake_on_connect ciphers permit_obsolete_folding strip_header_spaces
	permit_unconventional_http_method permit_unconventional_http_version casefold_http_method forwarder_headers
	header_map dirty_apps dirty_workers http_protocols`

var gunicornHooks = strings.Fields(`on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int
	worker_abort pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context`)

// TakeGunicorn reads the settings of a gunicorn.conf.py from its global variables, whose values are texts as after a
// flag. Flags, environment variables and GUNICORN_CMD_ARGS take precedence. app is the application that the file names,
// or "". TakeGunicorn returns a line for each setting that fapws does not support, and one line for all hooks.
func (s *Settings) TakeGunicorn(file string, globals map[string]string) (app string, lines []string) {
	rows := newParser(table(), nil)
	for word := range strings.FieldsSeq(gunicornFlags) {
		name, flag, _ := strings.Cut(word, "=")
		if flag == "" {
			flag = strings.ReplaceAll(name, "_", "-")
		}
		value, given := globals[name]
		if !given || value == "no" && rows.set.Lookup(flag) == nil { // off, as always in fapws
			continue
		}
		source := Source{FromFile, fmt.Sprintf("%s (%s)", file, name)}
		lines = append(lines, s.takeFlags(file+": "+name, source, []string{"--" + flag + "=" + value})...)
	}
	hooks := slices.DeleteFunc(slices.Clone(gunicornHooks), func(name string) bool { return globals[name] == "" })
	if len(hooks) > 0 {
		lines = append(lines, fmt.Sprintf("%s: ignored: %s: fapws runs no hooks of gunicorn; their code belongs in the "+
			"application, see fapws help migrate", file, strings.Join(hooks, ", ")))
	}
	return globals["wsgi_app"], lines
}
