// Package decrypt opens files that SOPS encrypted, with the keys of one Secret
// and nothing else: no program is run, and no key ring, environment or cloud
// identity of the machine is used but for those who are trusted with it.
//
// SOPS's own library reads the files, verifies their MAC and speaks to key
// services; age and OpenPGP keys are used here.
package decrypt
