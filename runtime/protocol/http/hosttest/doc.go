// Package hosttest is the common part of the tests of HTTP's protocols: a Host without routes, and its loop.
package hosttest
