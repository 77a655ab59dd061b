// Package logs has the logs of a process: a Logger writes lines to standard error or to the ErrorLog that takes its
// place, and Files are the access logs and the error logs of hosts. Lines of the error log look like Apache's, those
// on standard error are shorter. Package runtime/logfile writes and rotates the files, package runtime/logfile
// formats the lines of requests. Packages worker, supervisor, plan and command use it; a Logger is safe for
// concurrent use.
package logs
