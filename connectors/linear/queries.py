"""What we ask Linear; each text is validated against the vendor's schema in the tests."""

VIEWER = """
query Viewer { viewer { id name email organization { name urlKey } } }
"""

PROJECTS = """
query Projects($first: Int!, $after: String) {
  projects(first: $first, after: $after) {
    nodes {
      id name slugId url progress targetDate startedAt completedAt canceledAt archivedAt updatedAt
      status { name type }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

#: The last issue to change says whether anything below a milestone moved: its own updatedAt does not.
MILESTONES = """
query Milestones($project: ID!, $first: Int!, $after: String) {
  projectMilestones(first: $first, after: $after, filter: {project: {id: {eq: $project}}}) {
    nodes {
      id name status progress targetDate createdAt updatedAt archivedAt
      issues(first: 1, orderBy: updatedAt, includeArchived: true) { nodes { id updatedAt } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

#: Linear archives completed issues by itself: without includeArchived the proof disappears after some months.
COMPLETED_ISSUES = """
query CompletedIssues($milestone: ID!, $first: Int!, $after: String) {
  issues(
    first: $first, after: $after, orderBy: updatedAt, includeArchived: true,
    filter: {projectMilestone: {id: {eq: $milestone}}, completedAt: {null: false}}
  ) {
    nodes { id completedAt updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""

LABELLED_ISSUES = """
query LabelledIssues($project: ID!, $labels: [String!]!, $first: Int!, $after: String) {
  issues(
    first: $first, after: $after, includeArchived: true,
    filter: {project: {id: {eq: $project}}, labels: {name: {in: $labels}}}
  ) {
    nodes { id identifier title url dueDate completedAt canceledAt archivedAt trashed createdAt updatedAt state { name type } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

#: A label of a team and one of the workspace may have the same name; the filter by name takes all of them.
LABELS = """
query Labels($first: Int!, $after: String) {
  issueLabels(first: $first, after: $after, includeArchived: true) {
    nodes { id name team { id name } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

HISTORY = """
query History($issue: String!, $first: Int!, $after: String) {
  issue(id: $issue) {
    history(first: $first, after: $after) {
      nodes { id createdAt actor { name } botActor { name } toState { name type } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
