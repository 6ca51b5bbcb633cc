// The page for integrators. It is an ordinary caller of the API: it has no right
// that a page of yours would not have. Everything that comes from a card or the
// agent is shown as text, never as markup.
'use strict';

const texts = {
  vi: {
    skip: 'Đến nội dung chính', title: 'Thử API của chamthe trên máy này',
    intro: 'Trang này dành cho người tích hợp phần mềm bệnh viện (HIS). Trang chỉ gọi máy này và không lưu gì sau khi đóng thẻ trình duyệt.',
    pairTitle: '1. Ghép nối', agent: 'Tác tử:', origin: 'nguồn của trang:', paired: 'Đã ghép nối.', forget: 'Quên mã truy cập',
    name: 'Tên phần mềm, hiện ở quầy', request: 'Xin ghép nối', codeHelp: 'Duyệt yêu cầu ở quầy, rồi gõ sáu chữ số mà quầy hiện.',
    code: 'Mã ghép nối', sendCode: 'Gửi mã', checkinTitle: '2. Tiếp đón', training: 'Chế độ tập: thẻ mẫu, không gửi gì cho bảo hiểm.',
    reader: 'Đầu đọc', anyReader: 'tự chọn', kind: 'Khóa mở chip', scan: 'Mã QR quét được', mrz: 'Dòng MRZ', can: 'Số CAN',
    key: 'Nội dung (để trống: gõ sau)', photo: 'Xin cả ảnh', begin: 'Bắt đầu', sample: 'Dùng thẻ mẫu (chip phần mềm)', turn: 'Lượt này',
    state: 'Trạng thái:', progress: 'Tiến độ đọc', give: 'Gửi khóa', confirm: 'Đúng người này, ghi nhận', cancel: 'Hủy lượt', raw: 'JSON nhận được',
    codeTitle: '3. Mã mẫu', codeText: 'Chép vào trang của bạn. Tài liệu đầy đủ:', copy: 'Chép', copied: 'Đã chép.',
    unreachable: 'Không gọi được tác tử. Tác tử chưa chạy, trang này chưa được ghép nối (hoặc đã bị thu hồi), hoặc trình duyệt chưa cho phép truy cập thiết bị cục bộ.',
    badBase: 'Địa chỉ trong tham số base không phải của máy này.', asked: 'Đã gửi yêu cầu đến quầy.', ready: 'Sẵn sàng.',
    photoOf: 'Ảnh trong chip', name_: 'Họ tên', number: 'Số định danh', birth: 'Ngày sinh', sex: 'Giới tính', verified: 'Đã xác thực', insurance: 'Bảo hiểm y tế',
    source: 'Nguồn', visit: 'Mã lượt', yes: 'có', no: 'KHÔNG',
    states: { key: 'chờ khóa mở chip', card: 'chờ đặt thẻ', reading: 'đang đọc, chưa xác thực', text: 'đã xác thực chữ, đang đọc ảnh', confirm: 'chờ nhân viên xác nhận',
      recording: 'đang ghi', recorded: 'đã ghi nhận', refused: 'bị từ chối, không ghi', failed: 'lỗi', cancelled: 'đã hủy' },
    snippets: ['Xin ghép nối, một lần cho mỗi máy', 'Bắt đầu lượt và theo dõi', 'Xác nhận và lấy kết quả'],
  },
  en: {
    skip: 'To the main content', title: 'Try the API of chamthe on this computer',
    intro: 'This page is for those who integrate a hospital information system (HIS). It calls this computer only and keeps nothing once its tab is closed.',
    pairTitle: '1. Pair', agent: 'Agent:', origin: 'origin of this page:', paired: 'Paired.', forget: 'Forget the token',
    name: 'Name of the system, shown at the desk', request: 'Ask to be paired', codeHelp: 'Approve it at the desk, then type the six digits that the desk shows.',
    code: 'Pairing code', sendCode: 'Send the code', checkinTitle: '2. Check in', training: 'Training: sample cards, and nothing reaches an insurer.',
    reader: 'Reader', anyReader: 'whichever fits', kind: 'What opens the chip', scan: 'Scanned QR code', mrz: 'MRZ lines', can: 'CAN',
    key: 'Its text (empty: later)', photo: 'Ask for the photo', begin: 'Begin', sample: 'Use the sample card (software chip)', turn: 'This check-in',
    state: 'State:', progress: 'Progress of reading', give: 'Send the key', confirm: 'This is the person: record', cancel: 'Give up', raw: 'JSON as received',
    codeTitle: '3. Code to copy', codeText: 'For your page. The whole reference:', copy: 'Copy', copied: 'Copied.',
    unreachable: 'The agent cannot be called. It does not run, this page is not paired (any more), or the browser was not given leave to reach this device.',
    badBase: 'The address in the parameter base is not on this computer.', asked: 'The desk was asked.', ready: 'Ready.',
    photoOf: 'Photo from the chip', name_: 'Name', number: 'Number', birth: 'Born', sex: 'Sex', verified: 'Verified', insurance: 'Health insurance',
    source: 'Source', visit: 'Visit', yes: 'yes', no: 'NO',
    states: { key: 'wants what opens the chip', card: 'wants the card', reading: 'reading, nothing verified yet', text: 'text verified, reading the photo', confirm: 'wants the operator\'s word',
      recording: 'recording', recorded: 'recorded', refused: 'refused, not recorded', failed: 'failed', cancelled: 'given up' },
    snippets: ['Ask to be paired, once for each computer', 'Begin and watch', 'Confirm, and get the result'],
  },
};

const $ = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
let language = navigator.language.startsWith('vi') || !navigator.language.startsWith('en') ? 'vi' : 'en';
let pairing = null;  // the one that was asked for
let checkIn = null;  // the newest state of ours
let stream = null;   // AbortController of the event stream
let pictureOf = '';  // check-in whose photo is shown

// base is where the agent is: on this computer, or nowhere. A link to this page
// must not be able to have it speak to somebody else.
const base = (() => {
  const loopback = (u) => u.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(u.hostname);
  try {
    const given = parameters.get('base');
    const u = given ? new URL(given) : loopback(location) ? new URL(location.origin) : new URL('http://127.0.0.1:9786');
    return loopback(u) ? u.origin : '';
  } catch {
    return '';
  }
})();
const slot = 'chamthe-token ' + base;

const text = (key) => texts[language][key];
const say = (s) => { $('message').textContent = s; };
const token = () => sessionStorage.getItem(slot);

// call sends JSON and returns the answer's; it throws the agent's fault.
async function call(method, path, body) {
  const headers = {};
  if (token()) headers.Authorization = 'Bearer ' + token();
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'omit', cache: 'no-store' });
  } catch {
    throw { status: 0, fault: { code: 'unreachable', cause: text('unreachable'), remedy: '' } };
  }
  if (response.status === 204) return null;
  const type = response.headers.get('Content-Type') || '';
  if (response.ok && !type.startsWith('application/json')) return response;
  const answer = await response.json();
  if (!response.ok) throw { status: response.status, fault: answer.fault };
  return answer;
}

// act runs what a button does, and shows what went wrong.
async function act(what) {
  try {
    await what();
  } catch (e) {
    if (!e || !e.fault) throw e;
    say(e.fault.code + ': ' + e.fault.cause + ' ' + e.fault.remedy);
    if (e.status === 401) forget();
  }
}

function forget() {
  sessionStorage.removeItem(slot);
  if (stream) stream.abort();
  stream = null;
  checkIn = null;
  show();
}

// show draws everything from the state.
function show() {
  const have = Boolean(token());
  $('paired').hidden = !have;
  $('work').hidden = !have;
  $('ask').hidden = have || Boolean(pairing);
  $('redeem').hidden = have || !pairing;
  $('turn').hidden = !checkIn;
  if (!checkIn) return;
  const c = checkIn;
  const ended = ['recorded', 'refused', 'failed', 'cancelled'].includes(c.state);
  $('state').textContent = text('states')[c.state] || c.state;
  $('state').dataset.state = c.state;
  $('progress').max = c.progress && c.progress.total ? c.progress.total : 1;
  $('progress').value = c.progress ? c.progress.done : ['confirm', 'recording', 'recorded'].includes(c.state) ? 1 : 0;
  $('fault').textContent = c.fault ? c.fault.code + ': ' + c.fault.cause + ' ' + c.fault.remedy : '';
  $('give').hidden = c.state !== 'key' && c.state !== 'card';
  $('confirm').hidden = c.state !== 'confirm';
  $('cancel').hidden = ended || c.state === 'recording';
  $('raw').textContent = JSON.stringify(c, null, 2);
  const rows = [];
  if (c.person) {
    rows.push(['name_', c.person.name || c.person.name_mrz], ['number', c.person.number || c.person.document_number], ['birth', c.person.birth_date],
      ['sex', c.person.sex], ['verified', c.person.verified ? text('yes') : text('no')]);
  }
  if (c.entitlement) rows.push(['insurance', c.entitlement.status + ' ' + (c.entitlement.card_number || '')], ['source', c.entitlement.source]);
  if (c.visit) rows.push(['visit', c.visit + (c.delivery ? ' (' + c.delivery.state + ')' : '')]);
  $('person').replaceChildren(...rows.flatMap(([key, value]) => {
    const dt = document.createElement('dt');
    dt.textContent = text(key);
    const dd = document.createElement('dd');
    dd.textContent = value;
    return [dt, dd];
  }));
  if (c.photo && c.photo.available && pictureOf !== c.id) {
    pictureOf = c.id;
    act(showPicture);
  }
  if (!c.photo || !c.photo.available) $('picture').hidden = true;
}

async function showPicture() {
  const response = await call('GET', '/api/v1/checkins/' + checkIn.id + '/photo');
  const url = URL.createObjectURL(await response.blob());
  $('picture').onload = () => URL.revokeObjectURL(url);
  $('picture').src = url;
  $('picture').alt = text('photoOf');
  $('picture').hidden = false;
}

// take keeps the newer state: an answer and an event may cross.
function take(c) {
  if (!checkIn || checkIn.id !== c.id || c.version >= checkIn.version) checkIn = c;
  show();
}

// watch reads the event stream. EventSource would do, but sends no token.
async function watch() {
  if (stream) return;
  stream = new AbortController();
  const own = stream;
  let wait = 500;
  while (!own.signal.aborted) {
    try {
      const response = await fetch(base + '/api/v1/events', { headers: { Authorization: 'Bearer ' + token() }, signal: own.signal, credentials: 'omit', cache: 'no-store' });
      if (response.status === 401 || response.status === 403) { forget(); return; }
      if (!response.ok) throw new Error('events');
      wait = 500;
      await resync();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split('\n\n');
        rest = parts.pop();
        for (const part of parts) {
          const data = part.split('\n').filter((l) => l.startsWith('data:')).map((l) => l.slice(5).trimStart()).join('\n');
          if (data) hear(JSON.parse(data));
        }
      }
    } catch (e) {
      if (own.signal.aborted) return;
    }
    await new Promise((r) => setTimeout(r, wait));
    wait = Math.min(2 * wait, 15000);
  }
}

function hear(e) {
  if (e.type === 'checkin' && e.checkin) take(e.checkin);
  if (e.type === 'readers' && e.readers) showReaders(e.readers);
  if (e.type === 'missed') act(resync);
}

// resync reads the state that no event told of.
async function resync() {
  if (checkIn) take(await call('GET', '/api/v1/checkins/' + checkIn.id));
}

function showReaders(list) {
  const chosen = $('reader').value;
  const any = new Option(text('anyReader'), '');
  $('reader').replaceChildren(any, ...list.map((r) => new Option(r.name + ' (' + r.kind + ')', r.name)));
  $('reader').value = list.some((r) => r.name === chosen) ? chosen : '';
}

let sample = null;

async function enter() {
  const status = await call('GET', '/api/v1/status');
  showReaders(status.readers);
  $('training').hidden = !status.training;
  sample = status.training && status.sample ? status.sample : null;
  $('sample').hidden = !sample;
  say(text('ready'));
  show();
  watch();
}

const typedKey = () => ({ [$('kind').value]: $('key').value });

async function begin(key) {
  const start = { photo: $('photo').checked };
  if ($('reader').value) start.reader = $('reader').value;
  if (key) start.key = key;
  pictureOf = '';
  checkIn = null;
  take(await call('POST', '/api/v1/checkins', start));
}

const on = (id, event, what) => $(id).addEventListener(event, (e) => { e.preventDefault(); act(() => what(e)); });

on('ask', 'submit', async () => {
  pairing = await call('POST', '/api/v1/pairings', { name: $('name').value });
  say(text('asked'));
  if (pairing.state === 'approved') await redeem('');
  else { show(); $('code').focus(); }
});

async function redeem(code) {
  try {
    const t = await call('POST', '/api/v1/pairings/' + pairing.id + '/token', { code });
    sessionStorage.setItem(slot, t.token);
    pairing = null;
  } catch (e) {
    // Not approved yet, or a wrong code: the same pairing goes on.
    if (!['pairing_waiting', 'pairing_code', 'too_many'].includes(e.fault && e.fault.code)) pairing = null;
    show();
    throw e;
  }
  $('code').value = '';
  await enter();
}

on('redeem', 'submit', () => redeem($('code').value));
on('forget', 'click', async () => forget());
on('start', 'submit', () => begin($('key').value ? typedKey() : undefined));
on('sample', 'click', () => begin(sample));
on('give', 'click', async () => take(await call('POST', '/api/v1/checkins/' + checkIn.id + '/key', typedKey())));
on('confirm', 'click', async () => take(await call('POST', '/api/v1/checkins/' + checkIn.id + '/confirm', { photo_matches: true })));
on('cancel', 'click', async () => take(await call('POST', '/api/v1/checkins/' + checkIn.id + '/cancel')));
on('vi', 'click', async () => speak('vi'));
on('en', 'click', async () => speak('en'));

function speak(lang) {
  language = lang;
  document.documentElement.lang = lang;
  document.title = 'chamthe: ' + text('title');
  for (const e of document.querySelectorAll('[data-text]')) e.textContent = text(e.dataset.text);
  for (const id of ['vi', 'en']) $(id).setAttribute('aria-pressed', String(id === lang));
  showSnippets();
  show();
}

// The snippets are what this page does, without its looks.
const snippets = () => [
  `const agent = '${base}';
const post = (path, body, token) => fetch(agent + path, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', ...(token && { Authorization: 'Bearer ' + token }) },
  body: JSON.stringify(body ?? {}),
}).then(async (r) => { const j = await r.json(); if (!r.ok) throw j.fault; return j; });

const pairing = await post('/api/v1/pairings', { name: 'HIS' });
// The desk approves it and shows a code, which the user types:
const { token } = await post('/api/v1/pairings/' + pairing.id + '/token', { code: prompt('Code') });`,
  `let checkin = await post('/api/v1/checkins', { key: { scan: qrText }, photo: true }, token);
const events = await fetch(agent + '/api/v1/events', { headers: { Authorization: 'Bearer ' + token } });
const reader = events.body.pipeThrough(new TextDecoderStream()).getReader();
for (let rest = '', wait = true; wait;) {
  const { value, done } = await reader.read();
  if (done) break; // open it again, and GET the check-in
  const parts = (rest + value).split('\\n\\n');
  rest = parts.pop();
  for (const part of parts) {
    const data = part.split('\\n').find((line) => line.startsWith('data: '));
    const event = data && JSON.parse(data.slice(6));
    if (event?.checkin?.id !== checkin.id || event.checkin.version < checkin.version) continue;
    checkin = event.checkin;
    wait = !['confirm', 'refused', 'failed', 'cancelled'].includes(checkin.state);
  }
}`,
  `// person.verified is the only word for "this is the person on the card".
checkin = await post('/api/v1/checkins/' + checkin.id + '/confirm', { photo_matches: true }, token);
console.log(checkin.visit, checkin.person.verified, checkin.entitlement.status);`,
];

function showSnippets() {
  $('snippets').replaceChildren(...snippets().map((code, i) => {
    const box = document.createElement('div');
    const head = document.createElement('h3');
    head.textContent = text('snippets')[i];
    const pre = document.createElement('pre');
    pre.tabIndex = 0;
    pre.textContent = code;
    const copy = document.createElement('button');
    copy.type = 'button';
    copy.textContent = text('copy');
    copy.setAttribute('aria-label', text('copy') + ': ' + head.textContent);
    copy.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(code); // only in a secure context
        say(text('copied'));
      } catch {
        getSelection().selectAllChildren(pre);
      }
    });
    box.append(head, pre, copy);
    return box;
  }));
}

$('base').textContent = base;
$('origin').textContent = location.origin;
if (base) $('openapi').href = base + '/openapi.json';
speak(language);
if (!base) say(text('badBase'));
else if (token()) act(enter);
