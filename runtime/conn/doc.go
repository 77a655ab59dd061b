// Package conn has connections below the protocols that they speak: it knows nothing of HTTP.
package conn
