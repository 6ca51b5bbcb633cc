package conformitytest

import (
	"bytes"
	"crypto"
	_ "crypto/md5" // of documents that are to be refused
	"crypto/rsa"
	"slices"

	"github.com/chamthe/chamthe/icao/chip/issuer"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/inspect"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
)

func pkcs1(h crypto.Hash, bits int) issuer.Algorithm {
	return issuer.Algorithm{Scheme: issuer.PKCS1, Hash: h, Bits: bits}
}

func pss(h crypto.Hash, bits int) issuer.Algorithm {
	return issuer.Algorithm{Scheme: issuer.PSS, Hash: h, Bits: bits}
}

func ecdsa(h crypto.Hash, bits string, plain bool) issuer.Algorithm {
	return issuer.Algorithm{Scheme: issuer.ECDSA, Hash: h, Curve: "brainpoolP" + bits + "r1", Explicit: true, Plain: plain}
}

// signedWith has a document accepted whose signer and authority have these
// algorithms, and whose data groups are hashed as the signer does.
func signedWith(signer, authority issuer.Algorithm, algorithm string) body {
	return signedBy(signer, authority, issuer.SODOptions{Hash: signer.Hash}, algorithm)
}

func signedBy(signer, authority issuer.Algorithm, sod issuer.SODOptions, algorithm string) body {
	return func(b *bench) {
		v := eac()
		v.Signer, v.Authority, v.SOD = signer, authority, sod
		d := b.build(v)
		if sod.NoCertificate {
			c, err := cms.ParseCertificate(d.DS)
			if err != nil {
				b.Fatal(err)
			}
			d.pool.AddSigner(c)
		}
		b.accepts(d, passed(inspect.SODSignature, algorithm), passed(inspect.TrustChain, ""), passed(inspect.PassiveAuthentication, ""))
	}
}

// rsaNamed is a signature under the identifier of the key.
func rsaNamed(h crypto.Hash) body {
	return signedBy(pkcs1(h, 2048), pkcs1(h, 3072), issuer.SODOptions{Hash: h, CMSOptions: issuer.CMSOptions{RSAEncryption: true}}, "RSASSA-PKCS1-v1_5 "+h.String())
}

var _ = add(map[string]body{
	"LDS_H_01": signedWith(pkcs1(crypto.SHA1, 2048), pkcs1(crypto.SHA1, 3072), "RSASSA-PKCS1-v1_5 SHA-1"),
	"LDS_H_02": signedWith(pss(crypto.SHA1, 2048), pss(crypto.SHA1, 3072), "RSASSA-PSS SHA-1"),
	"LDS_H_03": signedWith(pss(crypto.SHA256, 2048), pss(crypto.SHA256, 3072), "RSASSA-PSS SHA-256"),
	"LDS_H_04": signedWith(pkcs1(crypto.SHA224, 2048), pkcs1(crypto.SHA224, 3072), "RSASSA-PKCS1-v1_5 SHA-224"),
	"LDS_H_05": signedWith(pkcs1(crypto.SHA256, 2048), pkcs1(crypto.SHA256, 3072), "RSASSA-PKCS1-v1_5 SHA-256"),
	"LDS_H_06": signedWith(pkcs1(crypto.SHA384, 2048), pkcs1(crypto.SHA384, 3072), "RSASSA-PKCS1-v1_5 SHA-384"),
	"LDS_H_07": signedWith(pkcs1(crypto.SHA512, 2048), pkcs1(crypto.SHA512, 3072), "RSASSA-PKCS1-v1_5 SHA-512"),
	"LDS_H_09": signedWith(ecdsa(crypto.SHA1, "224", false), ecdsa(crypto.SHA1, "256", false), "ECDSA SHA-1"),
	"LDS_H_10": signedWith(ecdsa(crypto.SHA1, "224", true), ecdsa(crypto.SHA1, "256", true), "ECDSA SHA-1"),
	"LDS_H_11": signedWith(ecdsa(crypto.SHA224, "224", true), ecdsa(crypto.SHA224, "256", true), "ECDSA SHA-224"),
	"LDS_H_12": signedWith(ecdsa(crypto.SHA256, "256", true), ecdsa(crypto.SHA256, "256", true), "ECDSA SHA-256"),
	"LDS_H_13": signedWith(ecdsa(crypto.SHA384, "384", true), ecdsa(crypto.SHA384, "384", true), "ECDSA SHA-384"),
	"LDS_H_14": signedWith(ecdsa(crypto.SHA512, "512", true), ecdsa(crypto.SHA512, "512", true), "ECDSA SHA-512"),
	"LDS_H_15": signedBy(pkcs1(crypto.SHA256, 2048), pkcs1(crypto.SHA256, 3072),
		issuer.SODOptions{Hash: crypto.SHA256, CMSOptions: issuer.CMSOptions{NoCertificate: true}}, "RSASSA-PKCS1-v1_5 SHA-256"),
	"LDS_H_16": signedBy(ecdsa(crypto.SHA224, "224", true), ecdsa(crypto.SHA224, "256", true),
		issuer.SODOptions{Hash: crypto.SHA224, CMSOptions: issuer.CMSOptions{NoCertificate: true}}, "ECDSA SHA-224"),
	"LDS_H_70": signedWith(ecdsa(crypto.SHA224, "224", false), ecdsa(crypto.SHA224, "256", false), "ECDSA SHA-224"),
	"LDS_H_71": signedWith(ecdsa(crypto.SHA256, "256", false), ecdsa(crypto.SHA256, "256", false), "ECDSA SHA-256"),
	"LDS_H_72": signedWith(ecdsa(crypto.SHA384, "384", false), ecdsa(crypto.SHA384, "384", false), "ECDSA SHA-384"),
	"LDS_H_73": signedWith(ecdsa(crypto.SHA512, "512", false), ecdsa(crypto.SHA512, "512", false), "ECDSA SHA-512"),
	"LDS_H_74": signedBy(rsaDS, rsaCSCA, issuer.SODOptions{Hash: crypto.SHA224}, "RSASSA-PSS SHA-256"),
	"LDS_H_75": signedBy(rsaDS, rsaCSCA,
		issuer.SODOptions{Hash: crypto.SHA224, CMSOptions: issuer.CMSOptions{Digest: crypto.SHA224}}, "RSASSA-PSS SHA-256"),
	"LDS_H_76": signedBy(pkcs1(crypto.SHA256, 2048), ecdsa(crypto.SHA224, "256", false),
		issuer.SODOptions{Hash: crypto.SHA224, CMSOptions: issuer.CMSOptions{Digest: crypto.SHA224}}, "RSASSA-PKCS1-v1_5 SHA-256"),
	"LDS_H_77": signedWith(rsaDS, pss(crypto.SHA224, 3072), "RSASSA-PSS SHA-256"),
	"LDS_H_78": signedWith(rsaDS, pkcs1(crypto.SHA256, 3072), "RSASSA-PSS SHA-256"),
	"LDS_H_79": rsaNamed(crypto.SHA1),
	"LDS_H_80": rsaNamed(crypto.SHA224),
	"LDS_H_81": rsaNamed(crypto.SHA256),
	"LDS_H_82": rsaNamed(crypto.SHA384),
	"LDS_H_83": rsaNamed(crypto.SHA512),
	"LDS_H_94": signedWith(pss(crypto.SHA224, 2048), pss(crypto.SHA224, 3072), "RSASSA-PSS SHA-224"),
	"LDS_H_95": signedWith(pss(crypto.SHA384, 2048), pss(crypto.SHA384, 3072), "RSASSA-PSS SHA-384"),
	"LDS_H_96": signedWith(pss(crypto.SHA512, 2048), pss(crypto.SHA512, 3072), "RSASSA-PSS SHA-512"),
})

// sodCase has an EF.SOD refused that was made in this way.
func sodCase(how signing, w why) body {
	return func(b *bench) {
		d := b.build(eac())
		d.sign(how)
		b.refuses(d, w)
	}
}

// malformedSOD is an EF.SOD that nothing can be verified with.
var malformedSOD = why{step: inspect.StepSOD, err: inspect.ErrNoSecurityObject, check: failed(inspect.SODSignature, inspect.ReasonMalformed)}

// badSignature is one whose signature does not hold.
func badSignature(reason result.Reason) why { return why{check: failed(inspect.SODSignature, reason)} }

// unknownSignature is one of which nobody can tell whether it holds.
func unknownSignature(reason result.Reason) why {
	return why{check: undetermined(inspect.SODSignature, reason)}
}

// object has the security object changed.
func object(change func(o *node), w why) body {
	return sodCase(signing{edit: func(s *sod) { s.object(change) }}, w)
}

// Parts of a security object (Doc 9303-10, 4.6.2.3).
const (
	objectVersion = iota
	objectHash
	objectGroups
)

// group finds the hash of a data group.
func group(o *node, dg byte) *node {
	i := slices.IndexFunc(o.kids[objectGroups].kids, func(k *node) bool { return bytes.Equal(k.kids[0].val, []byte{dg}) })
	return o.kids[objectGroups].kids[i]
}

// fileSOD has the file of EF.SOD changed.
func fileSOD(change func(file []byte) []byte, reason result.Reason) body {
	return func(b *bench) {
		d := b.build(eac())
		d.setSOD(change(d.SOD))
		b.refuses(d, why{step: inspect.StepSOD, err: inspect.ErrNoSecurityObject, check: failed(inspect.SODSignature, reason)})
	}
}

// add adds a data object to a constructed one.
func (o *node) add(kid *node) { o.kids = append(o.kids, kid) }

// md5RSA is RSASSA-PKCS1-v1_5 with MD5 by a key.
func md5RSA(b *bench, key *issuer.Key) func([]byte) []byte {
	return func(message []byte) []byte {
		h := crypto.MD5.New()
		h.Write(message)
		signature, err := rsa.SignPKCS1v15(nil, key.RSA, crypto.MD5, h.Sum(nil))
		if err != nil {
			b.Fatal(err)
		}
		return signature
	}
}

// md5Algorithm is the identifier of RSASSA-PKCS1-v1_5 with MD5.
var md5Algorithm = tlv(0x30, oidMD5WithRSA, asn1Null)

// differs is an EF.COM that does not list what is signed.
var differs = why{check: failed(inspect.COMConsistency, inspect.ReasonDiffers), desk: true}

var _ = add(map[string]body{
	"LDS_H_17": fileSOD(func(f []byte) []byte { return retagged(f, 0x78) }, inspect.ReasonUnreadable),
	"LDS_H_18": fileSOD(func(f []byte) []byte { return resized(f, -1) }, inspect.ReasonMalformed),
	"LDS_H_19": fileSOD(func(f []byte) []byte { return resized(f, +1) }, inspect.ReasonUnreadable),
	"LDS_H_20": sodCase(signing{edit: func(s *sod) { s.version.val = []byte{5} }}, deviates(cms.DevSignedDataVersion)),
	"LDS_H_21": sodCase(signing{edit: func(s *sod) { s.sd.remove(s.version) }}, malformedSOD),
	"LDS_H_22": sodCase(signing{edit: func(s *sod) {
		s.digests.kids = []*node{parseNode(s.t, tlv(0x30, oidMD5))}
	}}, deviates(cms.DevDigestNotListed)),
	"LDS_H_23": sodCase(signing{edit: func(s *sod) { s.sd.remove(s.digests) }}, malformedSOD),
	"LDS_H_24": sodCase(signing{edit: func(s *sod) { s.contentType.val = oidData }}, malformedSOD),
	"LDS_H_25": sodCase(signing{after: func(s *sod) { s.encap.remove(s.contentType) }}, malformedSOD),
	"LDS_H_26": sodCase(signing{edit: func(s *sod) { s.siVersion.val = []byte{5} }}, deviates(cms.DevSignerInfoVersion)),
	"LDS_H_27": sodCase(signing{edit: func(s *sod) { s.signerInfo.remove(s.siVersion) }}, malformedSOD),
	"LDS_H_28": sodCase(signing{edit: func(s *sod) { s.sid.kids[1].val[1] ^= 1 }}, unknownSignature(passiveauth.SignerCertificateMissing)),
	"LDS_H_29": sodCase(signing{opt: bySKI, edit: func(s *sod) { s.sid.val[0] ^= 1 }}, unknownSignature(passiveauth.SignerCertificateMissing)),
	"LDS_H_30": sodCase(signing{edit: func(s *sod) { s.siDigest.set(s.t, tlv(0x30, oidMD5)) }}, unknownSignature(passiveauth.AlgorithmUnsupported)),
	"LDS_H_31": sodCase(signing{after: func(s *sod) { s.signerInfo.remove(s.siDigest) }}, malformedSOD),
	"LDS_H_32": sodCase(signing{after: func(s *sod) {
		s.attribute(oidMessageDigest).kids[1].kids[0].val[0] ^= 1
		s.signAttributes()
	}}, badSignature(passiveauth.ContentDigestMismatch)),
	"LDS_H_33": sodCase(signing{edit: func(s *sod) { s.attrs.remove(s.attribute(oidMessageDigest)) }}, badSignature(passiveauth.SignedAttributesInvalid)),
	"LDS_H_34": sodCase(signing{edit: func(s *sod) {
		s.attrs.add(parseNode(s.t, tlv(0x30, oidSigningTime, tlv(0x31, tlv(0x17, []byte("today"))))))
	}}, deviates(cms.DevSigningTimeUnusable)),
	"LDS_H_35": func(b *bench) {
		d := b.build(eac())
		if parseSOD(b.T, d.SOD).optional(oidSigningTime[2:]) != nil {
			b.Fatal("there is a signing time")
		}
		b.accepts(d, passed(inspect.SODSignature, ""))
	},
	"LDS_H_36": func(b *bench) {
		d := b.build(eac())
		d.sign(signing{edit: func(s *sod) {
			s.siAlgorithm.set(b.T, md5Algorithm)
			s.signer.sign = md5RSA(b, s.signer.key)
		}})
		b.refuses(d, unknownSignature(passiveauth.AlgorithmUnsupported))
	},
	"LDS_H_37": sodCase(signing{after: func(s *sod) { s.siSignature.val[7] ^= 1 }}, badSignature(passiveauth.SignatureInvalid)),
	"LDS_H_38": sodCase(signing{after: func(s *sod) { s.signerInfo.remove(s.siSignature) }}, malformedSOD),
	"LDS_H_39": object(func(o *node) { o.kids[objectVersion].val = []byte{5} }, deviates(lds.DevSODVersion)),
	"LDS_H_40": object(func(o *node) { o.remove(o.kids[objectVersion]) }, malformedSOD),
	"LDS_H_41": object(func(o *node) { *o.kids[objectHash].kids[0] = node{tag: oidMD5[:1], val: oidMD5[2:]} },
		why{check: undetermined(inspect.DG1Integrity, passiveauth.AlgorithmUnsupported), deviation: lds.DevSODHashUnsupported}),
	"LDS_H_42": object(func(o *node) { o.remove(o.kids[objectHash]) }, malformedSOD),
	"LDS_H_43": object(func(o *node) { group(o, 2).kids[1].val[0] ^= 1 }, why{check: failed(inspect.DG2Integrity, passiveauth.HashMismatch)}),
	"LDS_H_44": object(func(o *node) { o.remove(group(o, 1)) }, why{check: failed(inspect.DG1Integrity, passiveauth.NotCovered)}),
	"LDS_H_45": object(func(o *node) {
		o.kids[objectGroups].add(&node{tag: []byte{0x30}, kids: []*node{{tag: []byte{0x02}, val: []byte{10}}, {tag: []byte{0x04}, val: make([]byte, 32)}}})
	}, differs),
	"LDS_H_46": object(func(o *node) { group(o, 1).kids[0].val = []byte{0, 0xFF} }, malformedSOD),
	"LDS_H_47": object(func(o *node) { g := group(o, 2); g.remove(g.kids[0]) }, malformedSOD),
	"LDS_H_69": func(b *bench) {
		d := b.build(eac())
		spoiled := slices.Clone(d.Groups[2])
		spoiled[len(spoiled)-1] ^= 1
		d.put(2, spoiled)
		b.refuses(d, why{check: failed(inspect.DG2Integrity, passiveauth.HashMismatch)})
		if r, err := b.inspect(d, true); err != nil || r.Photo != nil || r.PhotoNote != passiveauth.HashMismatch {
			b.Errorf("a picture that nobody signed is shown: %v, %q", err, r.PhotoNote)
		}
	},
	"LDS_H_84": sodCase(signing{edit: func(s *sod) { s.siVersion.val = []byte{3} }}, deviates(cms.DevSignerInfoVersion)),
	"LDS_H_85": sodCase(signing{opt: bySKI, edit: func(s *sod) { s.siVersion.val = []byte{1} }}, deviates(cms.DevSignerInfoVersion)),
	"LDS_H_86": func(b *bench) {
		b.accepts(b.build(lds18()), passed(inspect.SODSignature, ""), passed(inspect.COMConsistency, ""))
	},
	"LDS_H_87": func(b *bench) {
		d := b.build(lds18())
		d.sign(signing{edit: func(s *sod) { s.object(func(o *node) { o.kids[objectVersion].val = []byte{0} }) }})
		b.refuses(d, deviates(lds.DevSODVersionInfo))
	},
	"LDS_H_88": object(func(o *node) { o.kids[objectVersion].val = []byte{1} }, deviates(lds.DevSODVersionInfo)),
	"LDS_H_89": func(b *bench) {
		v := lds18()
		v.LDSVersion, v.SOD.LDSVersion = "0109", "0109"
		b.accepts(b.build(v), passed(inspect.SODSignature, ""), passed(inspect.COMConsistency, ""))
	},
	"LDS_H_90": func(b *bench) {
		v := bacDocument()
		v.Hidden, v.Listed = []int{3}, []int{1, 2}
		b.refuses(b.build(v), differs)
	},
	"LDS_H_91": func(b *bench) {
		d := b.build(bacDocument())
		d.sign(signing{without: []int{2}})
		b.refuses(d, why{check: failed(inspect.DG2Integrity, passiveauth.NotCovered)})
	},
	"LDS_H_92": func(b *bench) {
		v := bacDocument()
		v.Hidden, v.Listed = []int{3}, []int{1, 2}
		d := b.build(v)
		d.sign(signing{without: []int{2}})
		b.refuses(d, why{check: failed(inspect.DG2Integrity, passiveauth.NotCovered)})
	},
	"LDS_H_93": func(b *bench) {
		d := b.build(paceCAM())
		s := parseSOD(b.T, d.CardSecurity)
		s.siSignature.val[7] ^= 1
		d.setCardSecurity(s.root.bytes())
		b.refuses(d, why{check: failed(inspect.PACECAM, passiveauth.SignatureInvalid)})
	},
})

var oidSigningTime = []byte{0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x05}

// bySKI names the signer by its key.
var bySKI = issuer.SODOptions{Hash: crypto.SHA256, CMSOptions: issuer.CMSOptions{BySKI: true}}

// signerCase has a signer's certificate refused that its authority signed in this
// form.
func signerCase(change func(c *certificate), w why) body {
	return sodCase(signing{certificate: change}, w)
}

// spoiledCase has one refused that was changed afterwards.
func spoiledCase(change func(c *certificate), w why) body { return sodCase(signing{spoil: change}, w) }

// unreadableSigner is a certificate of which nobody can make anything.
var unreadableSigner = unknownSignature(passiveauth.SignerCertificateUnreadable)

// missing takes a part of the certificate's content away.
func missing(part func(c *certificate) *node) body {
	return signerCase(func(c *certificate) { c.tbs.remove(part(c)) }, unreadableSigner)
}

var _ = add(map[string]body{
	"LDS_H_48": func(b *bench) {
		signerCase(func(c *certificate) { c.version.kids[0].val = []byte{1} }, deviates("signer: "+cms.DevVersionNot3))(b)
		signerCase(func(c *certificate) { c.version.kids[0].val = []byte{5} }, unreadableSigner)(b)
	},
	"LDS_H_49": signerCase(func(c *certificate) { c.tbs.remove(c.version) }, deviates("signer: "+cms.DevVersionNot3)),
	"LDS_H_50": missing(func(c *certificate) *node { return c.serial }),
	"LDS_H_51": signerCase(func(c *certificate) { c.outer.set(c.t, md5Algorithm) }, unreadableSigner),
	"LDS_H_52": missing(func(c *certificate) *node { return c.algorithm }),
	"LDS_H_53": func(b *bench) {
		// A country in small letters, and as another type of string.
		signerCase(func(c *certificate) { country(c).val = []byte("ut") }, deviates("signer: "+cms.DevCountryEncoding))(b)
		signerCase(func(c *certificate) { country(c).tag = []byte{0x0C} }, deviates("signer: "+cms.DevCountryEncoding))(b)
	},
	"LDS_H_54": signerCase(func(c *certificate) {
		name := c.issuer.kids[len(c.issuer.kids)-1].kids[0].kids[1]
		name.val[0] ^= 1
	}, deviates(passiveauth.DevIssuerNameMismatch)),
	"LDS_H_55": missing(func(c *certificate) *node { return c.issuer }),
	"LDS_H_56": signerCase(func(c *certificate) {
		for _, k := range c.validity.kids {
			k.tag, k.val = []byte{0x18}, append([]byte("20"), k.val...)
		}
	}, deviates("signer: "+cms.DevTimeEncoding)),
	"LDS_H_57": missing(func(c *certificate) *node { return c.validity }),
	"LDS_H_58": signerCase(func(c *certificate) { c.key.kids[0].set(c.t, md5Algorithm) }, unknownSignature(passiveauth.AlgorithmUnsupported)),
	"LDS_H_59": missing(func(c *certificate) *node { return c.key }),
	"LDS_H_60": signerCase(func(c *certificate) {
		// The authority by its name and serial number alone.
		e := c.extension(oidAuthorityKeyID)
		name := &node{tag: []byte{0xA1}, kids: []*node{{tag: []byte{0xA4}, kids: []*node{c.issuer}}}}
		e.kids[len(e.kids)-1].val = tlv(0x30, name.bytes(), tlv(0x82, []byte{1}))
	}, deviates(passiveauth.DevAuthorityKeyIDMissing)),
	"LDS_H_61": signerCase(func(c *certificate) { c.extensions.remove(c.extension(oidAuthorityKeyID)) }, deviates(passiveauth.DevAuthorityKeyIDMissing)),
	"LDS_H_62": signerCase(func(c *certificate) {
		e := c.extension(oidKeyUsage)
		e.remove(e.kids[1]) // critical
	}, deviates("signer: "+cms.DevKeyUsageNotCrit)),
	"LDS_H_63": signerCase(func(c *certificate) {
		e := c.extension(oidKeyUsage)
		e.kids[len(e.kids)-1].val = tlv(0x03, []byte{4, 0x10}) // data encipherment
	}, why{check: failed(inspect.TrustChain, passiveauth.SignerKeyUsage)}),
	"LDS_H_64": signerCase(func(c *certificate) { c.extensions.remove(c.extension(oidKeyUsage)) }, deviates(passiveauth.DevSignerKeyUsageMissing)),
	"LDS_H_65": func(b *bench) {
		d := b.build(eac())
		d.sign(signing{
			certificate: func(c *certificate) {
				c.algorithm.set(b.T, md5Algorithm)
				c.outer.set(b.T, md5Algorithm)
				c.signer.sign = md5RSA(b, c.signer.key)
			},
			edit: func(s *sod) {
				s.siAlgorithm.set(b.T, md5Algorithm)
				s.signer.sign = md5RSA(b, s.signer.key)
			},
		})
		b.refuses(d, unknownSignature(passiveauth.AlgorithmUnsupported))
		// The certificate alone is as little worth.
		d.sign(signing{certificate: func(c *certificate) {
			c.algorithm.set(b.T, md5Algorithm)
			c.outer.set(b.T, md5Algorithm)
			c.signer.sign = md5RSA(b, c.signer.key)
		}})
		b.refuses(d, why{check: undetermined(inspect.TrustChain, passiveauth.AlgorithmUnsupported)})
	},
	"LDS_H_66": spoiledCase(func(c *certificate) { c.root.remove(c.outer) }, unreadableSigner),
	"LDS_H_67": spoiledCase(func(c *certificate) { c.signatureBits.val[7] ^= 1 }, why{check: failed(inspect.TrustChain, passiveauth.ChainSignatureInvalid)}),
	"LDS_H_68": spoiledCase(func(c *certificate) { c.root.remove(c.signatureBits) }, unreadableSigner),
})

// country finds the country in the issuer's name.
func country(c *certificate) *node {
	c.t.Helper()
	for _, rdn := range c.issuer.kids {
		if bytes.Equal(rdn.kids[0].kids[0].val, []byte{0x55, 0x04, 0x06}) {
			return rdn.kids[0].kids[1]
		}
	}
	c.t.Fatal("no country")
	return nil
}
