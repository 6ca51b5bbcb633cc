// Package vn is what Vietnam adds to Doc 9303: the citizen card (căn cước công
// dân, since 2024 căn cước) with its DG13, its 12-digit number, its QR code,
// and the law that decides when a card expires.
//
// There is no published specification of DG13 or of the QR code. Both are read
// as several independent readers in public use read them; what is not
// understood is left out, and nothing here is a verdict. The QR code is not
// signed: it fills a form and opens the chip, and proves nothing.
//
// Religion, ethnicity, relatives and identifying marks stand in DG13, and no
// check-in needs them. They are passed over without being decoded.
//
// Text is returned as the card has it, without Unicode normalisation. Errors
// name the field and never repeat what it holds.
//
// Left out for now: the QR code of the health-insurance card. Left out for
// good: the VNeID QR code, which only its issuer can read.
package vn
