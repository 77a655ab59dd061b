// Package authority makes certificates for a server that no public authority can vouch for, such as a device on a
// local network (--tls auto): once an authority of the machine's own, which clients are told to trust, and with it a
// certificate for all names and addresses of the machine, which is made again when they change or when it gets old.
//
// Package certificates calls Maintain, in the process that reads certificates; the server serves the files that it
// writes like any others. Maintain is safe for several processes at once. Start reading at authority.go.
//
//   - The authority can only vouch for names of local networks and for those that the machine had when it was made
//     (name constraints, RFC 5280 §4.2.1.10): a thief of its key cannot pass for other sites.
//   - A clock that is obviously wrong, as on a device without a battery, is not believed: certificates are then dated
//     from the time when this program was made, and made again once the clock is right.
package authority
