// Package clients tests ringfile as programs meet it that know nothing of its insides: under a leak detector,
// in bubbles of testing/synctest, and with what the standard library does only for an *os.File; each of these tests has
// the same done with package os beside it. And as "ringfile switch" puts it into modules of others.
package clients
