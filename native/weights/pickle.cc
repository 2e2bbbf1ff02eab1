#include "weights/pickle.h"

#include <algorithm>
#include <unordered_map>

namespace sam3 {
namespace {

// Bounds on what a hostile file can make us allocate; sam3.pt needs some 30,000 objects.
constexpr size_t kMaxNodes = 1'000'000, kMaxDimensions = 64, kMaxGlobalName = 1'000;

// Opcodes of pickletools.py, by their names there.
// clang-format off
enum Opcode : uint8_t {
  MARK = '(', STOP = '.', POP = '0', POP_MARK = '1', DUP = '2', BINFLOAT = 'G', BININT = 'J', BININT1 = 'K', BININT2 = 'M',
  NONE = 'N', BINPERSID = 'Q', REDUCE = 'R', BINSTRING = 'T', SHORT_BINSTRING = 'U', BINUNICODE = 'X', APPEND = 'a', BUILD = 'b',
  GLOBAL = 'c', APPENDS = 'e', BINGET = 'h', LONG_BINGET = 'j', BINPUT = 'q', LONG_BINPUT = 'r', SETITEM = 's', TUPLE = 't',
  SETITEMS = 'u', EMPTY_DICT = '}', EMPTY_LIST = ']', EMPTY_TUPLE = ')', BINBYTES = 'B', SHORT_BINBYTES = 'C',
  PROTO = 0x80, NEWOBJ, EXT1, EXT2, EXT4, TUPLE1, TUPLE2, TUPLE3, NEWTRUE, NEWFALSE, LONG1, LONG4, SHORT_BINUNICODE,
  BINUNICODE8, BINBYTES8, EMPTY_SET, ADDITEMS, FROZENSET, NEWOBJ_EX, STACK_GLOBAL, MEMOIZE, FRAME, BYTEARRAY8
};
// clang-format on

std::vector<int64_t> integers(const Pickle::Node* sequence) {
  if (sequence->items.size() > kMaxDimensions) throw PickleError("a tensor has more than 64 dimensions");
  std::vector<int64_t> out;
  for (const auto* item : sequence->items) {
    if (item->kind != Pickle::Kind::integer) throw PickleError("a tensor's size or stride is no whole number");
    out.push_back(item->integer);
  }
  return out;
}

}  // namespace

// The stack machine. Every read, pop and look-up is checked; a node is created at most once per byte of input.
class PickleMachine {
 public:
  using Node = Pickle::Node;
  using Kind = Pickle::Kind;
  PickleMachine(std::span<const std::byte> bytes, Pickle& out) : bytes_(bytes), out_(out) {}

  void run() {
    while (!done_) step(static_cast<uint8_t>(number(1)));
    out_.root_ = pop();
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw PickleError("pickle, byte " + std::to_string(at_) + ": " + what);
  }

  // ---- input
  std::string_view raw(uint64_t length) {
    if (length > bytes_.size() - at_) fail("the data ends too early");
    const std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return out;
  }
  uint64_t number(size_t width) {
    const std::string_view field = raw(width);
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(field[i]);
    return value;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) fail("a name without end");
    at_ += end + 1;
    return rest.substr(0, end);
  }
  // Two's complement, little-endian, any length; beyond 64 bits it cannot be a size and becomes opaque.
  void long_integer(uint64_t width) {
    const std::string_view field = raw(width);
    if (width > 8) return push(Kind::opaque);
    uint64_t value = width > 0 && (field.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(field[i]);
    push_integer(static_cast<int64_t>(value));
  }

  // ---- stack
  Node* make(Kind kind) {
    if (out_.nodes_.size() >= kMaxNodes) fail("more than " + std::to_string(kMaxNodes) + " objects");
    Node* node = &out_.nodes_.emplace_back();
    node->kind = kind;
    return node;
  }
  Node* push(Node* node) {
    stack_.push_back(node);
    return node;
  }
  void push(Kind kind) { push(make(kind)); }
  void push_integer(int64_t value, Kind kind = Kind::integer) { push(make(kind))->integer = value; }
  void push_text(std::string_view text) { push(make(Kind::text))->text = text; }
  Node* pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) fail("the stack is empty");
    Node* node = stack_.back();
    stack_.pop_back();
    return node;
  }
  Node* top() {
    Node* node = pop();
    return push(node);
  }
  // Everything above the last mark, which goes too.
  std::vector<Node*> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    std::vector<Node*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  // ---- memo
  void put(uint64_t index) { memo_[index] = top(); }
  void get(uint64_t index) {
    const auto place = memo_.find(index);
    if (place == memo_.end()) fail("it refers to an object that it never named");
    push(place->second);
  }

  // ---- objects
  void tuple(size_t count) {
    std::vector<const Node*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push(make(Kind::tuple))->items = std::move(items);
  }
  void append(const std::vector<Node*>& items) {
    Node* list = top();
    if (list->kind == Kind::list)
      list->items.insert(list->items.end(), items.begin(), items.end());
    else if (list->kind != Kind::opaque)
      fail("items are appended to what is no list");
  }
  void set_items(const std::vector<Node*>& items) {
    Node* dict = top();
    if (items.size() % 2 != 0) fail("a key without a value");
    if (dict->kind == Kind::opaque) dict->kind = Kind::dict;  // of a class that we do not know
    if (dict->kind != Kind::dict) fail("members are set on what is no dict");
    for (size_t i = 0; i < items.size(); i += 2) dict->members.emplace_back(items[i], items[i + 1]);
  }
  void push_global(std::string_view module, std::string_view name) {
    if (module.size() + name.size() > kMaxGlobalName) fail("the name of a class is too long");
    push(make(Kind::global))->text = out_.names_.emplace_back(std::string(module) + " " + std::string(name));
  }
  // Storages are the only persistent objects of torch.save: ('storage', class, key, location, elements).
  void persistent() {
    const Node* id = pop();
    Node* storage = make(Kind::opaque);
    push(storage);
    if (id->kind != Kind::tuple || id->items.size() != 5) return;
    const Node &type = *id->items[1], &key = *id->items[2], &elements = *id->items[4];
    if (type.kind != Kind::global || !type.text.starts_with("torch ") || key.kind != Kind::text ||
        elements.kind != Kind::integer)
      return;
    storage->kind = Kind::storage;
    storage->dtype = type.text.substr(std::string_view("torch ").size());
    storage->text = key.text;
    storage->integer = elements.integer;
  }
  void reduce() {
    const Node* arguments = pop();
    const Node* function = pop();
    const auto& a = arguments->items;
    if (function->kind == Kind::global && arguments->kind == Kind::tuple) {
      if (function->text == "collections OrderedDict" && a.empty()) return push(Kind::dict);
      if ((function->text == "torch._utils _rebuild_parameter" ||
           function->text == "torch._utils _rebuild_parameter_with_state") &&
          !a.empty()) {
        push(const_cast<Node*>(a[0]));  // all nodes are made by this machine, non-const
        return;
      }
      if (function->text == "torch._utils _rebuild_tensor_v2" && a.size() >= 4 && a[0]->kind == Kind::storage &&
          a[1]->kind == Kind::integer) {
        Node* tensor = push(make(Kind::tensor));
        tensor->storage = a[0];
        tensor->integer = a[1]->integer;
        tensor->sizes = integers(a[2]);
        tensor->strides = integers(a[3]);
        if (tensor->sizes.size() != tensor->strides.size()) fail("a tensor has more sizes than strides, or fewer");
        return;
      }
    }
    push(Kind::opaque);
  }
  // The attributes of an object are its members. A dict has members already; what it gets here (the _metadata of a
  // state_dict) says nothing about tensors.
  void build() {
    const Node* state = pop();
    Node* object = top();
    if (object->kind != Kind::opaque) return;
    if (state->kind == Kind::tuple && !state->items.empty()) state = state->items[0];  // (attributes, slots)
    if (state->kind != Kind::dict) return;
    object->kind = Kind::dict;
    object->members = state->members;
  }
  void drop_and_push_opaque(int count) {
    while (count-- > 0) pop();
    push(Kind::opaque);
  }

  void step(uint8_t opcode) {
    switch (opcode) {
      case PROTO:
        if (const auto version = number(1); version < 2 || version > 5) fail("protocol " + std::to_string(version));
        return;
      case FRAME: number(8); return;
      case STOP: done_ = true; return;
      case MARK: marks_.push_back(stack_.size()); return;
      case POP:
        if (!marks_.empty() && marks_.back() == stack_.size())
          marks_.pop_back();
        else
          pop();
        return;
      case POP_MARK: pop_to_mark(); return;
      case DUP: push(top()); return;

      case NONE: return push(Kind::none);
      case NEWTRUE: return push_integer(1, Kind::boolean);
      case NEWFALSE: return push_integer(0, Kind::boolean);
      case BININT: return push_integer(static_cast<int32_t>(number(4)));
      case BININT1: return push_integer(static_cast<int64_t>(number(1)));
      case BININT2: return push_integer(static_cast<int64_t>(number(2)));
      case LONG1: return long_integer(number(1));
      case LONG4: return long_integer(number(4));
      case BINFLOAT: raw(8); return push(Kind::real);
      case SHORT_BINUNICODE:
      case SHORT_BINSTRING:
      case SHORT_BINBYTES: return push_text(raw(number(1)));
      case BINUNICODE:
      case BINSTRING:
      case BINBYTES: return push_text(raw(number(4)));
      case BINUNICODE8:
      case BINBYTES8:
      case BYTEARRAY8: return push_text(raw(number(8)));

      case EMPTY_TUPLE: return tuple(0);
      case TUPLE1: return tuple(1);
      case TUPLE2: return tuple(2);
      case TUPLE3: return tuple(3);
      case TUPLE: {
        const auto items = pop_to_mark();
        push(make(Kind::tuple))->items.assign(items.begin(), items.end());
        return;
      }
      case EMPTY_LIST: return push(Kind::list);
      case APPEND: return append({pop()});
      case APPENDS: return append(pop_to_mark());
      case EMPTY_DICT: return push(Kind::dict);
      case SETITEM: {
        Node* value = pop();
        Node* key = pop();
        return set_items({key, value});
      }
      case SETITEMS: return set_items(pop_to_mark());
      case EMPTY_SET: return push(Kind::opaque);
      case ADDITEMS:
        pop_to_mark();
        top();
        return;
      case FROZENSET: pop_to_mark(); return push(Kind::opaque);

      case BINPUT: return put(number(1));
      case LONG_BINPUT: return put(number(4));
      case MEMOIZE: return put(memo_.size());
      case BINGET: return get(number(1));
      case LONG_BINGET: return get(number(4));

      case GLOBAL: {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case STACK_GLOBAL: {
        const Node* name = pop();
        const Node* module = pop();
        return push_global(module->text, name->text);
      }
      case BINPERSID: return persistent();
      case REDUCE: return reduce();
      case NEWOBJ: return drop_and_push_opaque(2);
      case NEWOBJ_EX: return drop_and_push_opaque(3);
      case BUILD: return build();
      default: fail("the opcode " + std::to_string(opcode) + ", which torch.save does not write");
    }
  }

  std::span<const std::byte> bytes_;
  Pickle& out_;
  size_t at_ = 0;
  bool done_ = false;
  std::vector<Node*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Node*> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes) {
  PickleMachine(bytes, *this).run();
}

bool Pickle::names_class(std::string_view end) const {
  return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) { return name.ends_with(end); });
}

const Pickle::Node* Pickle::Node::find(std::string_view key) const {
  for (size_t i = members.size(); i-- > 0;)
    if (members[i].first->kind == Kind::text && members[i].first->text == key) return members[i].second;
  return nullptr;
}

}  // namespace sam3
