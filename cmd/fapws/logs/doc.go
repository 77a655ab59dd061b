// Package logs has the logs of a process: a Logger writes lines to standard error or to
// the ErrorLog that takes its place, and Files are the access logs and the error logs of
// hosts. Lines of the error log look like Apache's, those on standard error are shorter.
package logs
