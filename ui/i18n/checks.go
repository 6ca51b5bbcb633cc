package i18n

// checks are the checks of a report, in plain words.
var checks = map[string]pair{
	"access_control":         {"mở được chip bằng mã trên thẻ", "chip opened with the card's code"},
	"sod_signature":          {"chữ ký trên chip", "signature on the chip"},
	"signer_validity":        {"hạn của chứng thư ký thẻ", "the signer's certificate is in date"},
	"trust_chain":            {"cơ quan cấp thẻ", "issuer of the card"},
	"revocation":             {"chứng thư chưa bị thu hồi", "certificate not revoked"},
	"issuing_state":          {"nước cấp thẻ", "issuing state"},
	"dg1_integrity":          {"họ tên, ngày sinh, số thẻ", "name, birth date, number"},
	"dg13_integrity":         {"thông tin tiếng Việt", "Vietnamese data"},
	"dg14_integrity":         {"khoá của chip", "the chip's keys"},
	"dg15_integrity":         {"khoá chống sao chép", "the key against copying"},
	"dg2_integrity":          {"ảnh trên chip", "photo on the chip"},
	"passive_authentication": {"chữ ký cơ quan cấp", "issuer's signature"},
	"pace_cam":               {"chip tự chứng minh khi mở", "chip proved itself when opened"},
	"chip_authentication":    {"chip chứng minh khoá riêng", "chip proved its key"},
	"active_authentication":  {"chip ký thử thách của lượt này", "chip signed this visit's challenge"},
	"chip_authenticity":      {"chip không sao chép", "chip is no copy"},
	"key_binding":            {"chip đúng với mã đã quét", "chip fits the scanned code"},
	"card_access":            {"cách bảo vệ chip", "the chip's protection"},
	"data_consistency":       {"dữ liệu trên chip khớp nhau", "data on the chip agrees"},
	"document_validity":      {"hạn của thẻ", "card is in date"},
	"dg5_integrity":          {"ảnh in", "displayed portrait"},
	"dg6_integrity":          {"nhóm dữ liệu 6", "data group 6"},
	"dg7_integrity":          {"chữ ký của người giữ thẻ", "holder's signature"},
	"dg8_integrity":          {"đặc điểm dữ liệu", "data features"},
	"dg9_integrity":          {"đặc điểm cấu trúc", "structure features"},
	"dg10_integrity":         {"đặc điểm vật liệu", "substance features"},
	"dg11_integrity":         {"thông tin thêm về người", "more about the person"},
	"dg12_integrity":         {"thông tin thêm về thẻ", "more about the document"},
	"dg16_integrity":         {"người cần báo tin", "persons to notify"},
	"com_consistency":        {"mục lục của chip", "the chip's table of contents"},
	"conformity":             {"đúng tiêu chuẩn", "conforms to the standard"},
}

// results are the results of a check (BSI TR-03135-1).
var results = map[string]pair{
	"not_performed": {"chưa kiểm tra", "not checked"},
	"successful":    {"đạt", "passed"},
	"failed":        {"không đạt", "failed"},
	"undetermined":  {"chưa xác định được", "cannot tell"},
	"not_supported": {"thẻ không có", "the card has none"},
	"aborted":       {"bị ngắt", "broken off"},
}

// What to do about a reason.
var (
	nothing  = pair{"", ""}
	again    = pair{"Đặt lại thẻ và giữ yên.", "Put the card back and keep it still."}
	refuse   = pair{"Không tiếp nhận bằng thẻ này.", "Do not accept this card."}
	clock    = pair{"Kiểm tra ngày giờ của máy tính.", "Check this computer's date and time."}
	roots    = pair{"Báo IT cập nhật chứng thư gốc.", "Have IT update the root certificates."}
	lists    = pair{"Báo IT cập nhật danh sách thu hồi.", "Have IT update the revocation lists."}
	noDuty   = pair{"Không cần làm gì.", "Nothing needs doing."}
	scanMore = pair{"Quét mã QR trên chính thẻ này.", "Scan the code on this very card."}
)

// reasons are why a check came out as it did.
var reasons = map[string]advice{
	"wrong_key":           {pair{"mã không khớp với thẻ", "the code does not belong to the card"}, scanMore},
	"access_refused":      {pair{"thẻ không cho mở chip", "the card did not let its chip be opened"}, again},
	"interrupted":         {pair{"thẻ bị nhấc ra giữa chừng", "the card was lifted meanwhile"}, again},
	"file_absent":         {pair{"thẻ không có phần này", "the card does not have this part"}, noDuty},
	"file_denied":         {pair{"thẻ không cho đọc phần này", "the card does not hand this part out"}, noDuty},
	"file_unreadable":     {pair{"thẻ trả lời sai", "the card answered with something else"}, again},
	"file_malformed":      {pair{"dữ liệu sai định dạng", "the data cannot be understood"}, again},
	"pace_failed":         {pair{"cách mở an toàn hơn đã không thành công", "the safer way of opening failed"}, again},
	"withheld":            {pair{"chip giữ lại phần đã được ký", "the chip keeps back what was signed"}, again},
	"picture_format":      {pair{"ảnh ở định dạng lạ", "the photo is in a format that is not read"}, noDuty},
	"not_covered":         {pair{"phần này không có chữ ký", "this part is not signed"}, noDuty},
	"key_not_covered":     {pair{"khoá của chip không được ai ký", "nobody signed the chip's key"}, refuse},
	"key_altered":         {pair{"khoá của chip đã bị thay", "the chip's key was replaced"}, refuse},
	"other_issuer":        {pair{"khoá của chip do nơi khác ký", "the chip's key was signed by somebody else"}, nothing},
	"proof_not_performed": {pair{"chưa yêu cầu chip chứng minh", "the chip was not asked for proof"}, again},
	"other_document":      {pair{"dữ liệu của một thẻ khác", "another card's data"}, refuse},
	"opened_by_can":       {pair{"mở bằng số truy cập, không phải mã của thẻ", "opened by the access number, not the card's code"}, noDuty},
	"offer_altered":       {pair{"thông tin bảo vệ đã bị sửa", "what the chip says of its protection was altered"}, refuse},
	"offer_hidden":        {pair{"thông tin bảo vệ bị che", "what the chip says of its protection was hidden"}, again},
	"offer_unsigned":      {pair{"thông tin bảo vệ không được ký", "what the chip says of its protection is not signed"}, noDuty},
	"person_mismatch":     {pair{"họ tên hoặc ngày sinh trên chip không khớp nhau", "names or birth dates on the chip differ"}, refuse},
	"number_mismatch":     {pair{"các số trên chip không khớp nhau", "numbers on the chip differ"}, refuse},
	"key_compromised":     {pair{"khoá của loạt thẻ này đã bị lộ", "the keys of this series of cards leaked"}, nothing},
	"com_differs":         {pair{"mục lục của chip khác phần đã ký", "the table of contents is not what was signed"}, noDuty},
	"nonconforming":       {pair{"có điểm khác tiêu chuẩn", "something deviates from the standard"}, noDuty},
	"document_expired":    {pair{"đã quá hạn in trên thẻ", "the expiry date has passed"}, pair{"Đề nghị giấy tờ còn hạn.", "Ask for a valid document."}},
	"unprotected":         {pair{"phần này không được bảo vệ", "this part is not protected"}, noDuty},
	"zone_differs":        {pair{"dòng chữ in trên thẻ khác với chip", "the lines printed on the card are not the chip's"}, refuse},
	"expiry_unreadable":   {pair{"không đọc được ngày hết hạn", "the expiry date cannot be understood"}, pair{"Xem ngày hết hạn in trên thẻ.", "Look at the date printed on the card."}},

	"signature_invalid":             {pair{"chữ ký không đúng", "the signature does not hold"}, refuse},
	"content_digest_mismatch":       {pair{"nội dung được ký đã bị đổi", "the signed content was changed"}, refuse},
	"signed_attributes_invalid":     {pair{"phần kèm chữ ký không đúng", "what goes with the signature is wrong"}, refuse},
	"signer_missing":                {pair{"không có chữ ký", "there is no signature"}, refuse},
	"signer_certificate_missing":    {pair{"thiếu chứng thư của người ký", "the signer's certificate is missing"}, roots},
	"signer_certificate_unreadable": {pair{"chứng thư của người ký không đọc được", "the signer's certificate cannot be read"}, tellIT},
	"algorithm_unsupported":         {pair{"cách ký chưa được hỗ trợ", "the kind of signature is not known"}, tellIT},
	"signer_expired":                {pair{"chứng thư ký thẻ đã hết hạn", "the signer's certificate has expired"}, clock},
	"signer_not_yet_valid":          {pair{"chứng thư ký thẻ chưa đến hạn dùng", "the signer's certificate is not valid yet"}, clock},
	"time_unknown":                  {pair{"máy tính không biết ngày giờ", "the computer does not know the time"}, clock},
	"no_trust_anchor":               {pair{"máy chưa có chứng thư gốc của nơi cấp", "no root certificate of this issuer is loaded"}, roots},
	"chain_signature_invalid":       {pair{"cơ quan được nêu tên không ký thẻ này", "the issuer that is named did not sign"}, refuse},
	"anchor_expired":                {pair{"chứng thư gốc đã hết hạn", "the root certificate has expired"}, roots},
	"anchor_not_yet_valid":          {pair{"chứng thư gốc chưa đến hạn dùng", "the root certificate is not valid yet"}, clock},
	"signer_is_ca":                  {pair{"chứng thư không dùng để ký thẻ", "the certificate is not for signing cards"}, refuse},
	"signer_key_usage":              {pair{"chứng thư không dùng để ký", "the certificate is not for signatures"}, refuse},
	"signer_purpose":                {pair{"chứng thư cấp cho mục đích khác", "the certificate was issued for something else"}, refuse},
	"signer_critical_extension":     {pair{"chứng thư có điều kiện lạ", "the certificate has a condition that is not understood"}, tellIT},
	"country_mismatch":              {pair{"chứng thư nêu nước khác với cơ quan cấp", "the certificate names another state than its issuer"}, refuse},
	"no_revocation_information":     {pair{"chưa có danh sách thu hồi", "there is no revocation list"}, noDuty},
	"signer_revoked":                {pair{"chứng thư ký thẻ đã bị thu hồi", "the signer's certificate was revoked"}, refuse},
	"anchor_revoked":                {pair{"chứng thư gốc đã bị thu hồi", "the root certificate was revoked"}, refuse},
	"revocation_list_outdated":      {pair{"danh sách thu hồi đã cũ", "the revocation list is out of date"}, lists},
	"revocation_list_too_late":      {pair{"danh sách thu hồi có sau khi chứng thư hết hạn", "the revocation list was made after the certificate expired"}, lists},
	"signer_status_unclear":         {pair{"tình trạng của chứng thư chưa rõ", "the certificate's standing is not clear"}, roots},
	"known_defect":                  {pair{"loạt thẻ này có lỗi đã được công bố", "this series of cards has a published defect"}, noDuty},
	"hash_mismatch":                 {pair{"dữ liệu khác với phần đã ký", "the data is not what was signed"}, refuse},
	"no_data_groups":                {pair{"không có dữ liệu nào được ký", "no data is signed"}, refuse},
	"issuing_state_mismatch":        {pair{"nước ghi trên thẻ khác nước đã ký", "the state on the card is not the one that signed"}, refuse},
	"issuing_state_unknown":         {pair{"chưa biết mã của nước này", "the code of this state is not known"}, noDuty},
	"issuing_state_unreadable":      {pair{"không đọc được nước cấp", "the issuing state cannot be read"}, again},
	"document_type_mismatch":        {pair{"nơi ký không được ký loại thẻ này", "the signer may not sign this kind of card"}, refuse},
	"document_types_absent":         {pair{"chứng thư không ghi loại thẻ được ký", "the certificate does not say what it may sign"}, noDuty},
	"document_types_unreadable":     {pair{"không đọc được loại thẻ được ký", "what the certificate may sign cannot be read"}, noDuty},
	"document_type_unreadable":      {pair{"không đọc được loại thẻ", "the kind of card cannot be read"}, again},

	"aa_signature_invalid":       {pair{"chip không chứng minh được là bản gốc", "the chip could not prove that it is the original"}, refuse},
	"aa_key_malformed":           {pair{"khoá chống sao chép sai định dạng", "the key against copying cannot be understood"}, refuse},
	"aa_algorithm_not_supported": {pair{"cách chống sao chép chưa được hỗ trợ", "the proof against copying is of an unknown kind"}, tellIT},
	"aa_refused":                 {pair{"chip từ chối chứng minh", "the chip refuses to prove itself"}, again},
	"aa_interrupted":             {pair{"chip bị ngắt khi đang chứng minh", "the chip was lost while it proved itself"}, again},
	"ca_not_offered":             {pair{"thẻ không có cách chứng minh này", "the card does not offer this proof"}, noDuty},
	"ca_algorithm_not_supported": {pair{"cách chứng minh chưa được hỗ trợ", "the proof is of an unknown kind"}, tellIT},
	"ca_key_invalid":             {pair{"khoá của chip không dùng được", "the chip's key cannot be used"}, refuse},
	"ca_refused":                 {pair{"chip từ chối chứng minh khoá", "the chip refuses to prove its key"}, again},
	"ca_not_proved":              {pair{"chip không chứng minh được khoá", "the chip could not prove its key"}, refuse},
	"ca_interrupted":             {pair{"chip bị ngắt khi đang chứng minh khoá", "the chip was lost while it proved its key"}, again},
}

// rejections are why the central service rejects a visit, or doubts it.
var rejections = map[string]pair{
	"malformed":             {"dữ liệu lượt khám sai định dạng", "the visit is malformed"},
	"unsupported_version":   {"phiên bản chương trình không được nhận", "this version of the program is not taken"},
	"unknown_agent":         {"máy này chưa được đăng ký cho cơ sở", "this desk is not enrolled for the facility"},
	"agent_signature":       {"chữ ký của máy không đúng", "the desk's signature does not hold"},
	"subject_mismatch":      {"tên nơi gửi không khớp", "the sender's names differ"},
	"conflict":              {"đã có lượt khám khác cùng mã", "another visit has the same id"},
	"time":                  {"ngày giờ không hợp lệ", "the time is not acceptable"},
	"evidence_missing":      {"thiếu bằng chứng từ chip", "the chip's evidence is missing"},
	"evidence_malformed":    {"bằng chứng từ chip không đọc được", "the chip's evidence cannot be read"},
	"nonce_unknown":         {"mã thời điểm không phải của BHXH", "the insurer did not issue this nonce"},
	"challenge":             {"chip không ký cho lượt khám này", "the chip did not sign for this visit"},
	"sod_signature":         {"chữ ký của cơ quan cấp không đúng", "the issuer's signature does not hold"},
	"hash_mismatch":         {"dữ liệu thẻ đã bị sửa", "the card's data was altered"},
	"not_covered":           {"dữ liệu thẻ không được ký", "the card's data is not signed"},
	"chain":                 {"thẻ không do cơ quan được nêu ký", "the issuer that is named did not sign"},
	"no_trust_anchor":       {"BHXH chưa biết nơi cấp thẻ", "the insurer does not know the issuing state"},
	"signer_expired":        {"chứng thư ký thẻ hết hạn", "the signer's certificate has expired"},
	"signer_revoked":        {"chứng thư ký thẻ bị thu hồi", "the signer's certificate was revoked"},
	"chip_signature":        {"chữ ký của chip không đúng", "the chip's signature does not hold"},
	"person_mismatch":       {"thông tin người bệnh khác với thẻ", "the person is not the one on the card"},
	"card_holder":           {"thẻ BHYT là của người khác", "the insurance card is another person's"},
	"card_unknown":          {"không tìm thấy thẻ BHYT", "the insurance card is not on record"},
	"unsupported_algorithm": {"cách ký chưa được hỗ trợ", "the kind of signature is not known"},
	"unavailable":           {"BHXH tạm thời chưa xét được, sẽ xét lại", "the insurer cannot decide now and will look again"},
}

// fields are what document and insurer may disagree in.
var fields = map[string]pair{
	"name":             {"Họ tên", "Name"},
	"birth_date":       {"Ngày sinh", "Birth date"},
	"number":           {"Số căn cước", "Number"},
	"sex":              {"Giới tính", "Sex"},
	"nationality":      {"Quốc tịch", "Nationality"},
	"document_number":  {"Số giấy tờ", "Document number"},
	"insurance_number": {"Mã BHYT", "Insurance number"},
	"card_number":      {"Số thẻ BHYT", "Insurance card"},
	"address":          {"Địa chỉ", "Address"},
	"residence":        {"Nơi thường trú", "Residence"},
	"facility":         {"Nơi đăng ký", "Facility"},
	"period":           {"Hạn thẻ BHYT", "Period of the insurance card"},
}

// steps are those of the inspection, and of the check-in around it.
var steps = map[string]pair{
	"access":                 {"Mở chip", "Opening the chip"},
	"ef_sod":                 {"Đọc chữ ký cơ quan cấp", "Reading the issuer's signature"},
	"chip_authentication":    {"Chip chứng minh khoá", "The chip proves its key"},
	"active_authentication":  {"Kiểm tra chip không sao chép", "Checking that the chip is no copy"},
	"dg1":                    {"Đọc thông tin cơ bản", "Reading name, date, number"},
	"dg13":                   {"Đọc thông tin tiếng Việt", "Reading the Vietnamese data"},
	"passive_authentication": {"Kiểm tra chữ ký", "Checking signatures"},
	"dg2":                    {"Đọc ảnh", "Reading the photo"},
	"optional_files":         {"Đọc phần thêm", "Reading the rest"},
	"entitlement":            {"Tra cứu BHYT", "Looking up the insurance"},
	"record":                 {"Ghi nhận lượt khám", "Recording the visit"},
}

var sexes = map[string]pair{
	"male":        {"Nam", "Male"},
	"female":      {"Nữ", "Female"},
	"unspecified": {"không rõ", "not stated"},
}

// findings are what the doctor looks at.
var findings = map[string]pair{
	"readers":         {"Đầu đọc thẻ", "Card readers"},
	"readers.service": {"Dịch vụ thẻ thông minh", "Smart card service"},
	"readers.driver":  {"Trình điều khiển đầu đọc", "Reader drivers"},
	"readers.limits":  {"Điều đã biết về đầu đọc", "What was learned of readers"},
	"readers.serial":  {"Cổng nối tiếp", "Serial ports"},
	"store":           {"Lượt khám trong máy", "Stored visits"},
	"queue":           {"Hàng chờ gửi", "Visits that wait"},
	"trust":           {"Chứng thư gốc", "Issuers' certificates"},
	"bundles":         {"Danh sách của BHXH", "The insurer's lists"},
	"audit":           {"Nhật ký truy cập", "Audit trail"},
	"disk":            {"Ổ đĩa", "Disk"},
	"files":           {"Quyền đọc ghi tệp", "File permissions"},
	"api.port":        {"Cổng trên máy này", "Local API"},
	"version":         {"Chương trình", "Program"},
	"config":          {"Cấu hình", "Configuration"},
	"central.server":  {"Đường tới máy chủ BHXH", "Way to the central server"},
	"central.link":    {"Kết nối BHXH", "Link to the central service"},
	"clock":           {"Đồng hồ máy tính", "Clock"},
}

// reader is before the name of a reader, in the title of a finding about one.
var reader = pair{"Đầu đọc ", "Reader "}
