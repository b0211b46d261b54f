"""What we ask monday.com; each text is validated against the vendor's schema in the tests."""

ME = """
query Me { me { id name email account { name } } complexity { after reset_in_x_seconds } }
"""

BOARDS = """
query Boards($limit: Int!, $page: Int!) {
  boards(limit: $limit, page: $page, state: active) {
    id name url type state items_count
    columns { id title type archived }
    groups { id title }
  }
}
"""

#: Does a board have any event since? One request for many boards: smaller plans have few requests a day.
EVENTS = """
query Events($boards: [ID!]!, $since: ISO8601DateTime!, $limit: Int!) {
  boards(ids: $boards, limit: $limit) { id activity_logs(from: $since, limit: 1) { id } }
}
"""

_ITEM = """
fragment Row on Item {
  id name state url created_at updated_at
  group { id title }
  column_values(ids: $columns) {
    id type text
    ... on StatusValue { label is_done updated_at }
    ... on DateValue { date time }
    ... on TimelineValue { from to visualization_type }
  }
}
"""

ITEMS = (
    """
query Items($board: ID!, $columns: [String!]!, $limit: Int!) {
  boards(ids: [$board]) { id items_page(limit: $limit) { cursor items { ...Row } } }
}
"""
    + _ITEM
)

NEXT_ITEMS = (
    """
query NextItems($cursor: String!, $columns: [String!]!, $limit: Int!) {
  next_items_page(cursor: $cursor, limit: $limit) { cursor items { ...Row } }
}
"""
    + _ITEM
)

HISTORY = """
query History($board: ID!, $items: [ID!]!, $columns: [String!]!, $limit: Int!, $page: Int!) {
  boards(ids: [$board]) {
    id
    activity_logs(item_ids: $items, column_ids: $columns, limit: $limit, page: $page) {
      id event created_at user_id data
    }
  }
}
"""

#: Without a status monday.com leaves out people who have left the company.
USERS = """
query Users($ids: [ID!]!, $limit: Int!) {
  users(ids: $ids, limit: $limit, status: [ACTIVE, INACTIVE, PENDING]) { id name }
}
"""
