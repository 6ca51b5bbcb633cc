package passiveauth

import (
	"strings"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/tlv"
)

// states maps the issuing state of a machine readable zone (Doc 9303-3, section
// 5) to the country code of its certificates (Doc 9303-12, 7.1.1): " AAA:BB".
// A code may occur more than once.
//
// The first part is ISO 3166-1. The second is what Doc 9303-3 adds, with the
// codes that CSCA certificates of the German master list of 2026 use: Kosovo
// signs as KS, and the United Kingdom and Bermuda share a CSCA, which link
// certificates between their names show.
const states = "" +
	" ABW:AW AFG:AF AGO:AO AIA:AI ALA:AX ALB:AL AND:AD ARE:AE ARG:AR ARM:AM ASM:AS ATA:AQ" +
	" ATF:TF ATG:AG AUS:AU AUT:AT AZE:AZ BDI:BI BEL:BE BEN:BJ BES:BQ BFA:BF BGD:BD BGR:BG" +
	" BHR:BH BHS:BS BIH:BA BLM:BL BLR:BY BLZ:BZ BMU:BM BOL:BO BRA:BR BRB:BB BRN:BN BTN:BT" +
	" BVT:BV BWA:BW CAF:CF CAN:CA CCK:CC CHE:CH CHL:CL CHN:CN CIV:CI CMR:CM COD:CD COG:CG" +
	" COK:CK COL:CO COM:KM CPV:CV CRI:CR CUB:CU CUW:CW CXR:CX CYM:KY CYP:CY CZE:CZ DEU:DE" +
	" DJI:DJ DMA:DM DNK:DK DOM:DO DZA:DZ ECU:EC EGY:EG ERI:ER ESH:EH ESP:ES EST:EE ETH:ET" +
	" FIN:FI FJI:FJ FLK:FK FRA:FR FRO:FO FSM:FM GAB:GA GBR:GB GEO:GE GGY:GG GHA:GH GIB:GI" +
	" GIN:GN GLP:GP GMB:GM GNB:GW GNQ:GQ GRC:GR GRD:GD GRL:GL GTM:GT GUF:GF GUM:GU GUY:GY" +
	" HKG:HK HMD:HM HND:HN HRV:HR HTI:HT HUN:HU IDN:ID IMN:IM IND:IN IOT:IO IRL:IE IRN:IR" +
	" IRQ:IQ ISL:IS ISR:IL ITA:IT JAM:JM JEY:JE JOR:JO JPN:JP KAZ:KZ KEN:KE KGZ:KG KHM:KH" +
	" KIR:KI KNA:KN KOR:KR KWT:KW LAO:LA LBN:LB LBR:LR LBY:LY LCA:LC LIE:LI LKA:LK LSO:LS" +
	" LTU:LT LUX:LU LVA:LV MAC:MO MAF:MF MAR:MA MCO:MC MDA:MD MDG:MG MDV:MV MEX:MX MHL:MH" +
	" MKD:MK MLI:ML MLT:MT MMR:MM MNE:ME MNG:MN MNP:MP MOZ:MZ MRT:MR MSR:MS MTQ:MQ MUS:MU" +
	" MWI:MW MYS:MY MYT:YT NAM:NA NCL:NC NER:NE NFK:NF NGA:NG NIC:NI NIU:NU NLD:NL NOR:NO" +
	" NPL:NP NRU:NR NZL:NZ OMN:OM PAK:PK PAN:PA PCN:PN PER:PE PHL:PH PLW:PW PNG:PG POL:PL" +
	" PRI:PR PRK:KP PRT:PT PRY:PY PSE:PS PYF:PF QAT:QA REU:RE ROU:RO RUS:RU RWA:RW SAU:SA" +
	" SDN:SD SEN:SN SGP:SG SGS:GS SHN:SH SJM:SJ SLB:SB SLE:SL SLV:SV SMR:SM SOM:SO SPM:PM" +
	" SRB:RS SSD:SS STP:ST SUR:SR SVK:SK SVN:SI SWE:SE SWZ:SZ SXM:SX SYC:SC SYR:SY TCA:TC" +
	" TCD:TD TGO:TG THA:TH TJK:TJ TKL:TK TKM:TM TLS:TL TON:TO TTO:TT TUN:TN TUR:TR TUV:TV" +
	" TWN:TW TZA:TZ UGA:UG UKR:UA UMI:UM URY:UY USA:US UZB:UZ VAT:VA VCT:VC VEN:VE VGB:VG" +
	" VIR:VI VNM:VN VUT:VU WLF:WF WSM:WS YEM:YE ZAF:ZA ZMB:ZM ZWE:ZW" +
	" D:DE EUE:EU UNO:UN UNA:UN UNK:UN RKS:KS RKS:XK" +
	" UTO:UT" + // Utopia, the state of the standard's specimens; UT is nobody's code
	" GBD:GB GBN:GB GBO:GB GBP:GB GBS:GB GBD:BM BMU:GB "

// issuingState compares the issuing state in the MRZ of DG1 with the country of
// the CSCA (BSI TR-03135-1, 5.6.4.5). Every CSCA in the pool could otherwise
// sign a document in the name of every other state.
func issuingState(dg1 []byte, country string) result.Check {
	state, ok := mrzIssuer(dg1)
	if !ok {
		return result.Unknown(IssuingStateUnreadable)
	}
	if !strings.Contains(states, " "+state+":") || len(country) != 2 {
		return result.Unknown(IssuingStateUnknown)
	}
	if !strings.Contains(states, " "+state+":"+country+" ") {
		return result.Fail(IssuingStateMismatch)
	}
	return result.Pass("")
}

// documentType compares the document code in the MRZ of DG1 with what the signer
// may sign.
func documentType(dg1 []byte, signer *cms.Certificate) result.Check {
	switch {
	case !signer.HasDocumentTypes:
		return result.Check{Value: result.NotSupported, Reason: DocumentTypesAbsent}
	case len(signer.DocumentTypes) == 0:
		return result.Unknown(DocumentTypesUnreadable)
	}
	code, _, ok := mrzBeginning(dg1)
	if !ok || code == "" {
		return result.Unknown(DocumentTypeUnreadable)
	}
	for _, allowed := range signer.DocumentTypes {
		// A single letter stands for all types that begin with it.
		if code == allowed || len(allowed) == 1 && strings.HasPrefix(code, allowed) {
			return result.Pass("")
		}
	}
	// Not a forgery: the signature is the state's, and what states write into this
	// list is known from few of them. BSI TR-03135-1 does not ask for the check.
	return result.Unknown(DocumentTypeMismatch)
}

// mrzIssuer returns the issuing state of DG1.
func mrzIssuer(dg1 []byte) (string, bool) {
	_, state, ok := mrzBeginning(dg1)
	return state, ok && state != ""
}

// mrzBeginning returns the document code and the issuing state of DG1: the first
// two characters and the three behind them in every format of Doc 9303-4 to -6,
// fillers removed. One that is malformed is empty.
func mrzBeginning(dg1 []byte) (code, state string, ok bool) {
	const tagDG1, tagMRZ = 0x61, 0x5F1F
	file := tlv.String(dg1)
	var content, zone tlv.String
	var c, s []byte
	if !file.ReadTag(&content, tagDG1) || !content.ReadTag(&zone, tagMRZ) || !zone.ReadBytes(&c, 2) || !zone.ReadBytes(&s, 3) {
		return "", "", false
	}
	return letters(c), letters(s), true
}

// letters returns a field of capital letters without the fillers at its end, or
// "" for anything else.
func letters(field []byte) string {
	s := strings.TrimRight(string(field), "<")
	for _, c := range s {
		if c < 'A' || c > 'Z' {
			return ""
		}
	}
	return s
}
